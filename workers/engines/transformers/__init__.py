"""Runs any causal language model, with eyes or without, encoder or model for speech that transformers can load.

choice.py           which of two engines runs a model: engine.py, or speech.py for models that hear
engine.py           the Engine: asyncio's side. Checks requests, hands rows to the model's thread
loading.py          a source → model, tokenizer and what is known of them
prompts.py          messages → token ids, with no way for a user's text to become a control token
preparing.py        a loaded model → the way into it: batched if that can be, within the memory that there is
step_loop.py        the model's thread: rows join and leave between steps (turns.py: whose tokens are fed)
row.py              one generation inside that thread
forward.py          what the step loop asks of a model: batched_forward.py, or single_forward.py where that cannot be
slots.py            which row has which place in the cache, and what of its prompt is there already
slot_cache.py       keys and values, as tensors
attention.py        a step's attention: packed rows, each seeing its own past
sampling.py         logits → tokens, each row by its own parameters
grammars.py         schemas, grammars and tools that must be called → which tokens may come next
                    (answer_grammar.py words the grammar, schemas.py makes a schema fit for it)
markup.py           how a model marks thoughts and calls, by its template (thoughts.py, call_formats.py)
text.py             tokens → thoughts, text and tool calls (detokenizer.py, stop strings; readers.py tells the parts
                    apart, with thoughts.py and tool_calls.py or by the model's own response template)
speller.py          single tokens → text and bytes, for logprobs
outbox.py           events on their way from the thread to asyncio
images.py           a chat's images → what a model that sees is given (vision_forward.py: one row after the other)
inputs.py           texts that are only read → token ids (padding.py: many as one tensor)
embedding.py        vectors of texts (sentence_model.py: what the model declares of them, pooling.py: tokens → vector)
classifying.py      labels of texts
reranking.py        how well documents answer a query
speech.py           recordings → text (recording.py, whisper.py and segments.py are its own)
"""
