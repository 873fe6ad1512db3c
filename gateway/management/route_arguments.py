"""Rules: how a route's targets and fallbacks are written on the command line. What is malformed is wrong usage."""

from argparse import ArgumentTypeError

from gateway.models import FailureClass

MAX_WEIGHT = 1_000_000
USUAL_WEIGHT = 100
USUAL_FAILURES = (
    FailureClass.NO_REPLICA, FailureClass.OVERLOADED, FailureClass.UPSTREAM_FAILED, FailureClass.TIMEOUT,
)  # fmt: skip


def share(text: str) -> tuple[str, int]:
    """`chat=95`, or `chat` for the usual weight."""
    model, equals, weight = text.partition("=")
    if not equals:
        return model, USUAL_WEIGHT
    if not (weight.isascii() and weight.isdigit() and int(weight) <= MAX_WEIGHT):
        raise ArgumentTypeError(f"{text!r}: write MODEL=WEIGHT, with a whole weight from 0 to {MAX_WEIGHT}: chat=95.")
    return model, int(weight)


def second_choice(text: str) -> tuple[str, list[str]]:
    """`spare=timeout,overloaded`, or `spare` for the usual failures."""
    model, equals, failures = text.partition("=")
    after = failures.split(",") if equals else [failure.value for failure in USUAL_FAILURES]
    if unknown := [failure for failure in after if failure not in FailureClass.values]:
        raise ArgumentTypeError(f"{unknown[0]!r} is no kind of failure. There are: {', '.join(FailureClass.values)}.")
    return model, after


def audience(text: str) -> tuple[str, list[str]]:
    """`chat-next=ada,ben`."""
    model, _, names = text.partition("=")
    if not all(names.split(",")):
        raise ArgumentTypeError(f"{text!r}: write MODEL=NAME, or MODEL=NAME,NAME.")
    return model, names.split(",")
