"""OpenAI's dialect at the engine's door: bytes to `Generate`, events to bytes. One file an endpoint."""
