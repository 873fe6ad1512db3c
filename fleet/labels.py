"""Labels: what an administrator says of a worker, and asks of one for a deployment: `gpu=h100, zone=a`."""

import re
from collections.abc import Mapping

from fleet.errors import LabelsMalformed

MAX_LABELS = 32
_LABEL = re.compile(r"[A-Za-z0-9]([\w./-]{0,61}[A-Za-z0-9])?=([A-Za-z0-9]([\w./-]{0,61}[A-Za-z0-9])?)?", re.ASCII)


def parse_labels(text: str) -> dict[str, str]:
    """`gpu=h100, zone=a` as a mapping; commas and line ends separate. Raises LabelsMalformed, which names the part."""
    parts = [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]
    for part in parts:
        if not _LABEL.fullmatch(part):
            raise LabelsMalformed(part)
    labels = dict(part.split("=", 1) for part in parts)
    if len(labels) < len(parts) or len(labels) > MAX_LABELS:
        raise LabelsMalformed(text)
    return labels


def format_labels(labels: Mapping[str, str]) -> str:
    """As parse_labels reads it."""
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))


def lacking(selector: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, str]:
    """The part of `selector` that `labels` does not have."""
    return {name: value for name, value in selector.items() if labels.get(name) != value}
