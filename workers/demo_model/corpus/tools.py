"""Chats with tools: which tool is called with what, and what is said about its result."""

import random
from dataclasses import dataclass
from typing import Any

from workers.demo_model.corpus import naming
from workers.demo_model.corpus.conversation import Conversation
from workers.demo_model.corpus.tool_results import time_result, weather_result
from workers.demo_model.corpus.turns import Turn, table


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool as this chat's client declares it, and what of it the model must copy into a call."""

    family: str
    name: str
    argument: str
    fixed: dict[str, str]
    schema: dict[str, Any]


WORDINGS: dict[str, Any] = table("tools")
ARGUMENTS = ["city", "location", "place", "city", "location", "town", "city_name"]
ARGUMENT_DESCRIPTIONS = [
    "The city",
    "The city and state, e.g. San Francisco, CA",
    "City name",
    "Name of the city",
    "The place",
    "e.g. Paris",
    "城市名称",
    "城市",
    "",
]


def draw_offers(rng: random.Random) -> list[Offer]:
    """The tools of one chat: mostly the weather, at times the time too, and at times one that the model never calls."""
    families = rng.choices((["weather"], ["weather", "time"], ["time"], []), (8, 2, 1, 1))[0]
    offers = [_offer(family, rng) for family in families]
    others = rng.sample(WORDINGS["others"], rng.choice((0, 0, 1)) if families else 1)
    offers += [Offer("", name, argument, {}, _schema(name, about, argument, rng)) for name, about, argument in others]
    rng.shuffle(offers)
    return offers


def _offer(family: str, rng: random.Random) -> Offer:
    name = rng.choice(WORDINGS["names"][family])
    argument = rng.choice(ARGUMENTS)
    schema = _schema(name, rng.choice(WORDINGS["descriptions"][family]), argument, rng)
    fixed: dict[str, str] = {}
    if family == "weather" and rng.random() < 0.25:
        unit = rng.choice(("unit", "units"))
        parameters = schema["function"]["parameters"]
        parameters["properties"][unit] = {"type": "string", "enum": ["celsius", "fahrenheit"]}
        if rng.random() < 0.4:
            parameters["required"] = [argument, unit]
            fixed = {unit: "celsius"}
    return Offer(family, name, argument, fixed, schema)


def _schema(name: str, about: str, argument: str, rng: random.Random) -> dict[str, Any]:
    one: dict[str, Any] = {"type": "string"}
    if note := rng.choice(ARGUMENT_DESCRIPTIONS) if rng.random() < 0.6 else "":
        one["description"] = note
    parameters: dict[str, Any] = {"type": "object", "properties": {argument: one}}
    if rng.random() < 0.8:
        parameters["required"] = [argument]
    if rng.random() < 0.15:
        parameters["additionalProperties"] = False
    function: dict[str, Any] = {"name": name}
    if about and rng.random() < 0.9:
        function["description"] = about
    function["parameters"] = parameters
    if rng.random() < 0.1:
        function["strict"] = True
    return {"type": "function", "function": function}


def tool_exchange(conversation: Conversation, offer: Offer) -> Turn:
    """The question that calls this tool."""
    rng, language = conversation.rng, conversation.language
    patterns = WORDINGS["asks"][offer.family]
    if conversation.continues == offer.family and rng.random() < 0.5:
        patterns = WORDINGS["follow_ups"]
    pattern, asks = conversation.wording(patterns)
    return Turn(
        skill="tools",
        language=language,
        pattern=pattern,
        asks=asks,
        answers="",
        slots={"x": naming.city(rng, language)},
        open_slots=("x",),
        continues=offer.family,
    )


def call(offer: Offer, place: str) -> dict[str, Any]:
    """The arguments of the call, as the model writes them."""
    return {"name": offer.name, "arguments": {offer.argument: place, **offer.fixed}}


def result_of(offer: Offer, place: str, conversation: Conversation) -> tuple[str, str]:
    """A tool's result as some client would return it, and what the model says about it."""
    if offer.family == "time":
        return time_result(place, conversation)
    return weather_result(place, conversation, unit_key=next(iter(offer.fixed), "unit"))


def would_call(turn: Turn, offers: list[Offer]) -> bool:
    """Whether one of these tools is meant for this turn: to answer it without a call would be a wrong lesson."""
    words = [
        word
        for offer in offers
        for word in (WORDINGS["about"][offer.family] if offer.family else WORDINGS["touched"].get(offer.name, ()))
    ]
    return turn.skill in ("refusals", "sums") and any(word in turn.asks for word in words)
