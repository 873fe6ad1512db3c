"""The daemon in Prometheus' words."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.workers.conftest import wait_for

LABELS = {"model_name": "echo-1", "replica": "r1"}


async def read(daemon, token: str) -> tuple[int, str]:
    async with daemon.http.get(daemon.url + "/metrics", headers={"Authorization": f"Bearer {token}"}) as answer:
        return answer.status, await answer.text()


def samples(page: str) -> dict[str, tuple[dict[str, str], float]]:
    families = text_string_to_metric_families(page)
    return {sample.name: (sample.labels, sample.value) for family in families for sample in family.samples}


async def test_prometheus_reads_what_each_replica_does(start_daemon):
    async with start_daemon() as daemon:
        status, page = await read(daemon, "for prometheus")
    assert status == 200
    found = samples(page)
    assert found["flotilla_replica_ready"] == (LABELS, 1)
    assert found["vllm:num_requests_running"] == (LABELS, 0)
    assert found["flotilla_replica_restarts_total"] == (LABELS, 0)


async def test_prometheus_reads_what_was_answered_in_the_names_that_dashboards_for_vllm_ask_for(start_daemon):
    async with start_daemon() as daemon:
        canary = samples((await read(daemon, "for prometheus"))[1])
        async with daemon.chat("one two three", stream=True) as answer:
            await answer.read()
        async with daemon.chat("one two three") as answer:
            used = (await answer.json())["usage"]
        found = samples((await read(daemon, "for prometheus"))[1])

    def grown(name: str) -> float:
        return found[name][1] - canary[name][1]

    assert grown("vllm:prompt_tokens_total") == 2 * used["prompt_tokens"]
    assert grown("vllm:generation_tokens_total") == 2 * used["completion_tokens"]
    assert grown("vllm:request_success_total") == 2
    assert grown("vllm:time_to_first_token_seconds_count") == 2
    assert grown("vllm:e2e_request_latency_seconds_bucket") == 2
    assert found["vllm:e2e_request_latency_seconds_bucket"][0] == LABELS | {"le": "+Inf"}
    assert found["vllm:request_success_total"][0] == LABELS | {"finished_reason": "stop"}


async def test_a_request_that_its_caller_breaks_off_is_counted_with_what_it_used(start_daemon):
    async with start_daemon("delay=0.05,repeat=1000") as daemon:
        async with daemon.chat("one two three", stream=True) as answer:
            await answer.content.readany()
            answer.close()
        await wait_for(lambda: not daemon.engine.occupancy.num_in_flight)
        while "vllm:request_success_total" not in (found := samples((await read(daemon, "for prometheus"))[1])):
            pass
    assert found["vllm:request_success_total"] == (LABELS | {"finished_reason": "abort"}, 1)
    assert found["vllm:generation_tokens_total"][1] >= 1


async def test_the_share_of_the_cache_is_told_by_an_engine_that_knows_it(start_daemon):
    async with start_daemon("demo", engine="transformers") as daemon:
        async with daemon.chat("hello") as answer:
            await answer.read()
        found = samples((await read(daemon, "for prometheus"))[1])
    assert found["vllm:kv_cache_usage_perc"] == found["vllm:gpu_cache_usage_perc"] == (LABELS, 0)


async def test_steps_that_ran_out_of_memory_are_told_to_prometheus_and_to_the_server(start_daemon):
    async with start_daemon("out_of_memory_from=2") as daemon:
        for _ in range(2):
            async with daemon.chat("hello") as answer:
                await answer.read()
        found = samples((await read(daemon, "for prometheus"))[1])
        status = daemon.engine.status()
    assert found["flotilla_replica_out_of_memory_total"] == (LABELS, 2)
    assert found["flotilla_replica_max_step_tokens"] == (LABELS, 64)
    assert (status.num_out_of_memory, status.max_step_tokens) == (2, 64)


@pytest.mark.parametrize("token", ["", "guessed"])
async def test_whoever_does_not_know_the_token_reads_nothing(start_daemon, token):
    async with start_daemon() as daemon:
        assert (await read(daemon, token))[0] == 401


async def test_the_token_opens_nothing_else(start_daemon):
    async with (
        start_daemon() as daemon,
        daemon.ask(json={}, headers={"Authorization": "Bearer for prometheus"}) as answer,
    ):
        assert answer.status == 401
