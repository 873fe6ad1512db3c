"""A child server's load is read from its own metrics, whoever made it."""

import pytest

from workers.children.metrics import load_in
from workers.engines.base import EngineStats

VLLM = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="qwen"} 5.0
vllm:num_requests_running{engine="1",model_name="qwen"} 2.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="qwen"} 1.0
vllm:num_requests_waiting{engine="1",model_name="qwen"} 0.0
vllm:kv_cache_usage_perc{engine="0",model_name="qwen"} 0.25
"""
SGLANG = """\
# HELP sglang:num_running_reqs The number of running requests.
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{model_name="qwen",priority=""} 4.0
sglang:num_running_reqs{model_name="qwen",priority="1"} 3.0
sglang:num_queue_reqs{model_name="qwen",priority=""} 9.0
sglang:num_queue_reqs{model_name="qwen",priority="1"} 9.0
"""
LLAMA_CPP = """\
# HELP llamacpp:requests_processing Number of requests processing.
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 2
# HELP llamacpp:requests_deferred Number of requests deferred.
# TYPE llamacpp:requests_deferred gauge
llamacpp:requests_deferred 7
"""
LIGHTLLM = """\
# TYPE lightllm_queue_size gauge
lightllm_queue_size 3.0
# TYPE lightllm_batch_current_size gauge
lightllm_batch_current_size 6.0
"""


@pytest.mark.parametrize(
    ("metrics", "num_running", "num_waiting"),
    [(VLLM, 7, 1), (SGLANG, 4, 9), (LLAMA_CPP, 2, 7), (LIGHTLLM, 6, 3)],
    ids=["vllm: over its data-parallel engines", "sglang: not once more by priority", "llama.cpp", "lightllm"],
)
def test_the_load_is_found_among_all_the_rest(metrics, num_running, num_waiting):
    assert load_in(metrics.encode()) == EngineStats(num_running=num_running, num_waiting=num_waiting)


@pytest.mark.parametrize("metrics", [b"", b"python_info 1.0\n", b"\xff\xfe", b"vllm:num_requests_running{ 1\n"])
def test_what_says_nothing_of_the_load_is_no_load(metrics):
    assert load_in(metrics) is None
