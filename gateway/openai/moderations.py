"""POST /v1/moderations: by a model that classifies, or by the content policies."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import msgspec
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from msgspec import Meta
from rest_framework.request import Request as HTTPRequest

from gateway.api.schema import described
from gateway.api.views import InferenceView, Opened
from gateway.catalogue import offers
from gateway.errors import InvalidRequest
from gateway.generation import Call, open_generation
from gateway.keyring import Caller
from gateway.moderation.judging import judge, rules_for
from gateway.openai.parameters import Request
from gateway.runtime import current
from protocol.endpoints import CAPABILITIES

BY_POLICIES = "omni-moderation-latest"
_OPENAIS_NAMES = frozenset(
    {BY_POLICIES, "omni-moderation-2024-09-26", "text-moderation-latest", "text-moderation-stable"}
)
MAX_INPUTS = 256


class ModeratedPart(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A piece of one text. Pictures cannot be judged."""

    type: Literal["text"]
    text: str


class ModerationRequest(Request, kw_only=True):
    """The body. No model, or one of OpenAI's names that nothing is deployed by: the content policies judge."""

    model: str = BY_POLICIES
    input: str | Annotated[list[str | ModeratedPart], Meta(min_length=1, max_length=MAX_INPUTS)]

    @property
    def texts(self) -> list[str]:
        """One for each result: parts belong to one."""
        if isinstance(self.input, str):
            return [self.input]
        if isinstance(self.input[0], ModeratedPart):
            return ["".join(part.text for part in self.input if isinstance(part, ModeratedPart))]
        return [text for text in self.input if isinstance(text, str)]


class ModerationsView(InferenceView):
    """Says whether texts are harmful, and in which way."""

    endpoint: ClassVar = "moderations"
    request_type: ClassVar = ModerationRequest
    _texts: Sequence[str] = ()

    def check(self, asked: ModerationRequest) -> None:
        if isinstance(asked.input, list) and len({type(one) for one in asked.input}) > 1:
            raise InvalidRequest("'input' must hold texts, or parts of one text, not both.", param="input")

    async def checked(self, asked: ModerationRequest, body: bytes) -> tuple[ModerationRequest, bytes]:
        self.check(asked)
        self._texts = asked.texts
        # For whoever is asked: always by name, and always texts.
        return asked, msgspec.json.encode({"model": asked.model, "input": asked.texts})

    async def opened(self, call: Call) -> Opened:
        if call.model not in _OPENAIS_NAMES or current().poller.latest.is_name(call.model):
            return await open_generation(call)
        classifier = None if rules_for(call.caller) else _classifier(call.caller)
        if classifier:
            body = msgspec.json.encode({"model": classifier, "input": self._texts})
            return await open_generation(replace(call, model=classifier, body=body))
        return await judge(call, self._texts)

    @extend_schema(**described("createModeration", ModerationRequest, "Moderation"))
    async def post(self, request: HTTPRequest) -> HttpResponseBase:
        return await super().post(request)


def _classifier(caller: Caller) -> str | None:
    """A model that classifies, of those that the caller may name: by OpenAI's name any is meant."""
    needed = CAPABILITIES[ModerationsView.endpoint]
    return next((offer.name for offer in offers(caller) if needed in offer.capabilities), None)
