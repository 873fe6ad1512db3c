"""What can be asked of a replica: paths after /v1/, each with the capability that a replica must have for it."""

CAPABILITIES = {
    "chat/completions": "chat",
    "completions": "completions",
    "embeddings": "embeddings",
    "tokenize": "tokenize",
    "rerank": "rerank",
    "images/generations": "images",
    "moderations": "moderation",
    "audio/transcriptions": "transcription",
}
