"""Runs any causal language model, or encoder, that transformers can load.

engine.py       the Engine: asyncio's side. Checks requests, hands rows to the model's thread
loading.py      a source → model, tokenizer and what is known of them
prompts.py      messages → token ids, with no way for a user's text to become a control token
step_loop.py    the model's thread: rows join and leave between steps
row.py          one generation inside that thread
forward.py      rows → logits. One forward for each row today; batching will happen here
sampling.py     logits → token
text.py         tokens → text and tool calls (detokenizer.py, stop strings, tool_calls.py)
outbox.py       events on their way from the thread to asyncio
embedding.py    mean-pooled vectors
"""
