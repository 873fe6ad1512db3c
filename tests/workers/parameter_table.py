"""The table of parameters and engines in docs/api.md, made from the code: `python -m tests.workers.parameter_table`."""

from protocol.engines import ENGINE_KINDS
from protocol.parameters import NEEDS, VISION
from workers.children.launch import Ground
from workers.children.registry import LAUNCHES
from workers.engines import echo
from workers.engines.base import EngineSpec
from workers.engines.transformers.engine import HONOURED


def capabilities_of(engine: str) -> list[str]:
    """What a model on this engine can be asked for, if it can write text, make vectors, or see at all."""
    own = {"echo": echo.CAPABILITIES, "transformers": (*HONOURED, VISION)}
    if engine in own:
        return list(own[engine])
    options = {"command": "serve", "tool_call_parser": "hermes"}
    return [item for more in ({}, {"runner": "pooling"}) for item in _told(engine, {**options, **more})]


def _told(engine: str, options: dict[str, str]) -> list[str]:
    spec = EngineSpec(engine=engine, source="/models/m", model="m", program=("serve",), options=options)
    launch = LAUNCHES[engine](spec, Ground(port=1, api_key="key"))
    return [*launch.capabilities, *([VISION] if launch.shows_images else [])]


def make_table() -> str:
    """In Markdown: a line for each parameter that not every engine honours."""
    engines = [engine for engine in ENGINE_KINDS if engine != "command"]
    able = {engine: set(capabilities_of(engine)) for engine in engines}
    lines = [f"| parameter | {' | '.join(f'`{engine}`' for engine in engines)} |", "|---" * (len(engines) + 1) + "|"]
    asked = {f"`{name}`": need.capability for name, need in NEEDS.items()}
    for words, capability in {"`image_url` in `messages`": VISION, **asked}.items():
        marks = ("yes" if capability in able[engine] else "400" for engine in engines)
        lines.append(f"| {words} | {' | '.join(marks)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(make_table())
