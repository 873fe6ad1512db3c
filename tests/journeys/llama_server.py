"""llama.cpp's own server as a wheel brings it, behind llama-server's command line as far as workers use it."""

import argparse
import os
import signal

import xllamacpp

parser = argparse.ArgumentParser(prog="llama-server")
parser.add_argument("--model", required=True)
parser.add_argument("--alias", required=True)
parser.add_argument("--host", required=True)
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--parallel", type=int, required=True)
parser.add_argument("--ctx-size", type=int, default=0)
parser.add_argument("--metrics", action="store_true")
parser.add_argument("--jinja", action="store_true")
given = parser.parse_args()

params = xllamacpp.CommonParams()
params.model.path = given.model
params.model_alias = {given.alias}
params.hostnames = [given.host]
params.port = given.port
params.n_parallel = given.parallel
params.n_ctx = given.ctx_size
params.endpoint_metrics = given.metrics
params.use_jinja = given.jinja
params.api_keys = [os.environ["LLAMA_API_KEY"]]
server = xllamacpp.Server(params)
signal.pause()
