"""How fast engines answer: ours and the peers in turns, with the same models, prompts and settings, on this machine.

__main__.py      the command line
plan.py          what is measured: cases, and which peers take part in each; the ratios that are wanted
models.py        models made of random weights (shapes as people deploy them, small enough for a CPU)
environments.py  a virtual environment for each peer, and what is in it
servers.py       ours and the peers as child processes on loopback
client.py        drives any server that speaks OpenAI's API, and takes the time of its tokens
rounds.py        runs the cases: servers start, take turns, and stop
roofline.py      what this machine could do at best: memory bandwidth and matrix products
decode.py        our decode step in process (llama_decode.py: llama.cpp's)
report.py        Markdown tables of all that
"""
