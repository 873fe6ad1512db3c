"""How fast engines answer, ours and the peers, as Markdown.

    python -m bench.engine prepare                              once: makes the models and the peers' environments
    python -m bench.engine compare [--preset targets] [--peers NAME ...] [--json FILE]
    python -m bench.engine drive URL [URL ...] --model MODEL    any servers that run already, in turns

The machine should do nothing else meanwhile. `smoke` shows that all is in place; `targets` takes some twenty minutes on
two cores, `full` some hours.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.engine import report
from bench.engine.client import Load, Target
from bench.engine.environments import prepare
from bench.engine.in_process import decode_steps, measure_roofline
from bench.engine.models import SHAPES, gguf_file, model_folder
from bench.engine.plan import CLIENTS, PRESETS
from bench.engine.rounds import Measured, Places, Results, run_case, take_turns
from bench.engine.servers import OURS, SERVERS

_DECODED = "100M"
_NUM_STEPS, _NUM_SMOKE_STEPS = 32, 8


def _places(given: argparse.Namespace) -> Places:
    given.folder.mkdir(parents=True, exist_ok=True)
    logs = given.folder / "logs"
    logs.mkdir(exist_ok=True)
    places = Places(
        pythons=prepare(given.venvs or given.folder / "venvs"), models=given.folder.resolve() / "models", logs=logs
    )
    for name in SHAPES:
        model_folder(places.models, name)
    if python := places.pythons.get("llama"):
        for name, dtype in (("4M", "f32"), ("100M", "f32"), ("100M", "bf16")):
            gguf_file(places.models, name, dtype, python)
    return places


def compare(given: argparse.Namespace) -> None:
    """All cases of a preset, each reported as soon as it is measured."""
    places = _places(given)
    cases = [case for case in PRESETS[given.preset] if case.model in given.models]
    measured = []
    for case in cases:
        measured.append(run_case(case, places, given.peers))
        _show(measured[-1])
        _keep(given.json, [_plain(item) for item in measured])
    if given.decode:
        _decode(given, places)


def _show(measured: Measured) -> None:
    print(report.title(measured.case))
    print(*report.figures(measured.results), "", *report.comparison(measured), sep="\n", flush=True)


def _decode(given: argparse.Namespace, places: Places) -> None:
    is_smoke = given.preset == "smoke"
    roofline = measure_roofline()
    steps = decode_steps(
        places.pythons, places.models, model=_DECODED,
        num_steps=_NUM_SMOKE_STEPS if is_smoke else _NUM_STEPS, num_rounds=1 if is_smoke else 3,
    )  # fmt: skip
    print(f"\n## Decode steps of {_DECODED} in process\n\n{report.machine(roofline)}\n")
    print(*report.decoding(_DECODED, roofline, steps), sep="\n", flush=True)


def drive(given: argparse.Namespace) -> None:
    """Servers that run already."""
    extras = {"ignore_eos": True} if given.ignore_eos else {}
    targets = [Target(name=url, url=url, model=given.model, key=given.key, extras=extras) for url in given.urls]
    results: Results = {}
    for num_clients in given.clients:
        load = Load(
            num_clients=num_clients, num_words=given.words, max_tokens=given.tokens, temperature=given.temperature
        )
        results |= asyncio.run(take_turns(targets, load, given.rounds))
    print(*report.figures(results), sep="\n")
    _keep(given.json, _rounds(results))


def _keep(path: Path | None, content: object) -> None:
    if path:
        path.write_text(json.dumps(content, indent=1))


def _plain(measured: Measured) -> dict[str, object]:
    return {"case": measured.case.title, "rounds": _rounds(measured.results)}


def _rounds(results: Results) -> list[dict[str, object]]:
    return [
        {"server": name, "clients": num_clients, "number": number, **asdict(seen)}
        for (name, num_clients), rounds in results.items()
        for number, seen in enumerate(rounds)
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    acts = parser.add_subparsers(required=True, metavar="prepare | compare | drive")
    preparing = acts.add_parser("prepare")
    preparing.set_defaults(act=_places)
    comparing = acts.add_parser("compare")
    comparing.set_defaults(act=compare)
    for part in (preparing, comparing):
        part.add_argument("--folder", type=Path, default=Path("var/bench"), help="for models, environments and logs")
        part.add_argument("--venvs", type=Path, help="the peers' environments; by default in the folder")
    comparing.add_argument("--preset", choices=PRESETS, default="targets")
    comparing.add_argument("--models", nargs="+", choices=SHAPES, default=list(SHAPES))
    peers = [name for name in SERVERS if name != OURS]
    comparing.add_argument("--peers", nargs="*", choices=peers, default=peers, metavar="NAME", help=", ".join(peers))
    comparing.add_argument("--no-decode", dest="decode", action="store_false", help="no decode steps in process")
    driving = acts.add_parser("drive")
    driving.set_defaults(act=drive)
    _add_drive(driving)
    for part in (comparing, driving):
        part.add_argument("--json", type=Path, help="keep every round's times there")
    return parser


def _add_drive(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("urls", nargs="+", metavar="URL", help="with /v1")
    parser.add_argument("--model", required=True)
    parser.add_argument("--key", default="none")
    parser.add_argument("--clients", nargs="+", type=int, default=list(CLIENTS))
    parser.add_argument("--words", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ignore-eos", action="store_true", help="for models that end anywhere, with random weights")


def main(arguments: Sequence[str] | None = None) -> None:
    given = _parser().parse_args(arguments)
    given.act(given)


if __name__ == "__main__":
    main()
