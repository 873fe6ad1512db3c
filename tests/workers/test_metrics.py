"""The daemon in Prometheus' words."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

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
