"""What tools of all kinds of clients return, and the sentence that the model makes of it."""

import json
import random
from dataclasses import dataclass
from typing import Any

from workers.demo_model.corpus.conversation import Conversation
from workers.demo_model.corpus.turns import table

CELSIUS_FIELDS = ("temperature", "temp", "temperature", "temp_c", "temperature_c", "celsius", "degrees")
FAHRENHEIT_FIELDS = ("temperature", "temp_f", "temperature_f")
SKY_FIELDS = ("condition", "sky", "conditions", "weather", "description", "forecast")


@dataclass(frozen=True, slots=True)
class Weather:
    """The weather somewhere; an empty sky is one that the tool says nothing about."""

    place: str
    degrees: int
    unit: str
    sky: str

    @property
    def sign(self) -> str:
        """The unit as it is written behind a number."""
        return "°C" if self.unit == "celsius" else "°F"


def time_result(place: str, conversation: Conversation) -> tuple[str, str]:
    """A clock's result and the sentence about it."""
    rng = conversation.rng
    time = f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}"
    whole = json.dumps({"city": place, "time": time}, ensure_ascii=False)
    result = rng.choice((time, json.dumps({"time": time}), whole))
    return result, f"It is {time} in {place}." if conversation.language == "en" else f"{place}现在{time}。"


def weather_result(place: str, conversation: Conversation, *, unit_key: str) -> tuple[str, str]:
    """A weather service's result, as an object or as a text, and the sentence about it."""
    weather = _weather(place, conversation)
    is_text = conversation.rng.choice((False, False, False, True))
    result = _as_text(weather, conversation.rng) if is_text else _as_object(weather, conversation.rng, unit_key)
    return result, _sentence(weather, conversation)


def _weather(place: str, conversation: Conversation) -> Weather:
    rng = conversation.rng
    skies: dict[str, str] = table("tools")["skies"]
    degrees, sky = rng.randint(-15, 42), rng.choice(list(skies))
    unit = rng.choices(("celsius", "fahrenheit"), (5, 1))[0]
    said = sky if conversation.language == "en" or rng.random() < 0.5 else skies[sky]
    return Weather(place, degrees, unit, said if rng.random() < 0.7 else "")


def _as_text(weather: Weather, rng: random.Random) -> str:
    text = f"{weather.degrees}{rng.choice(('', ' '))}{weather.sign}"
    return rng.choice((f"{text}, {weather.sky}", f"{weather.sky}, {text}")) if weather.sky else text


def _as_object(weather: Weather, rng: random.Random, unit_key: str) -> str:
    fields: dict[str, Any] = {}
    if rng.random() < 0.6:
        fields[rng.choice(("city", "location", "place"))] = weather.place
    value: int | str = str(weather.degrees) if rng.random() < 0.15 else weather.degrees
    is_fahrenheit = weather.unit == "fahrenheit"
    name = rng.choice(FAHRENHEIT_FIELDS if is_fahrenheit else CELSIUS_FIELDS)
    fields[name] = value
    if (is_fahrenheit and name == "temperature") or (name in ("temperature", "temp") and rng.random() < 0.4):
        fields[unit_key] = rng.choice((weather.unit, weather.unit, weather.unit[0].upper()))
    if weather.sky:
        fields[rng.choice(SKY_FIELDS)] = weather.sky
    if rng.random() < 0.1:
        fields["humidity"] = rng.randint(10, 99)
    return json.dumps(fields, ensure_ascii=False)


def _sentence(weather: Weather, conversation: Conversation) -> str:
    degrees = f"{weather.degrees} {weather.sign}"
    if conversation.language == "en":
        return f"It is {degrees}{' and ' + weather.sky if weather.sky else ''} in {weather.place}."
    return f"{weather.place}现在 {degrees}{'，' + weather.sky if weather.sky else ''}。"
