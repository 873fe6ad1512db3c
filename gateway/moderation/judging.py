"""A text judged by the content policies alone, in the shape of OpenAI's moderations; no model is asked."""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec

from gateway.errors import InvalidRequest
from gateway.generation import Call, Caller, meter_of, reserve_for, settle_failed
from gateway.models import UsageState
from gateway.moderation.policies import Rule
from gateway.receipt import Receipt
from gateway.runtime import current
from gateway.usage import Meter
from protocol.moderation import moderation_result


class Judgement:
    """To be used as a Generation."""

    status, is_stream = 200, False
    receipt: Receipt | None = None

    def __init__(self, body: bytes, headers: Mapping[str, str]) -> None:
        self._body = body
        self.headers = headers

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        """Nothing is left to be done."""


async def judge(call: Call, texts: Sequence[str]) -> Judgement:
    """One result for each text, by the policies of the caller's team, for whichever models they are.

    Raises GatewayError. There is one record.
    """
    meter = meter_of(call, sum(map(len, texts)))
    await reserve_for(call, meter)
    try:
        body = _judged(call, texts)
    except BaseException as error:
        raise settle_failed(meter, error) from None
    return _settled(meter, body)


def rules_for(caller: Caller) -> list[Rule]:
    return [rule for rule in current().poller.latest.content_rules if rule.is_about_team(caller.team_id)]


def _settled(meter: Meter, body: bytes) -> Judgement:
    meter.settle(UsageState.COMPLETE, status_code=Judgement.status)
    return Judgement(body, meter.headers)


def _judged(call: Call, texts: Sequence[str]) -> bytes:
    rules = rules_for(call.caller)
    if not rules:
        # To find nothing where nothing was looked for would be a lie.
        raise InvalidRequest(
            "No content policy holds for this API key, so there is nothing to judge by. Name a model that can, or ask "
            "your administrator for a policy.",
            param="model",
            code="no_content_policy",
        )
    results = [_result(text, rules) for text in texts]
    return msgspec.json.encode({"id": f"modr-{uuid.uuid4().hex}", "model": call.model, "results": results})


def _result(text: str, rules: Sequence[Rule]) -> dict[str, Any]:
    found = {rule.name: rule.matcher.find(text) is not None for rule in rules}
    return moderation_result({name: float(is_found) for name, is_found in found.items()}, found)
