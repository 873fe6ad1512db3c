"""Rollouts as they are shown: plain values, newest first."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleet.badges import Badge
from fleet.models import Deployment, RollbackCause, Rollout, RolloutPhase

_TONES = {RolloutPhase.RUNNING: "info", RolloutPhase.IN_FORCE: "success", RolloutPhase.ROLLED_BACK: "danger"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field that a rollout changes."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    revision: int
    phase: RolloutPhase
    cause: str
    """A RollbackCause; empty unless it was rolled back."""
    why: str
    """The same in words, with the engine's own."""
    changes: tuple[Change, ...]
    """Empty: the deployment's first version."""
    started_by: str
    started_at: datetime
    ended_at: datetime | None

    @property
    def badge(self) -> Badge:
        return Badge(text=str(self.phase.label), tone=_TONES.get(self.phase, "neutral"))

    @property
    def is_replacing(self) -> bool:
        """It runs, and there is a version before it."""
        return self.phase is RolloutPhase.RUNNING and bool(self.changes)


def rollout_views(rollouts: Iterable[Rollout]) -> Mapping[int, tuple[RolloutView, ...]]:
    """By deployment, in the order given; `started_by` fetched along."""
    by_deployment: defaultdict[int, list[RolloutView]] = defaultdict(list)
    for rollout in rollouts:
        by_deployment[rollout.deployment_id].append(_view(rollout))
    return {number: tuple(views) for number, views in by_deployment.items()}


def _view(rollout: Rollout) -> RolloutView:
    return RolloutView(
        revision=rollout.revision,
        phase=RolloutPhase(rollout.phase),
        cause=rollout.cause,
        why=_why(rollout),
        changes=tuple(_changes(rollout.previous_spec or rollout.spec, rollout.spec)),
        started_by=str(rollout.started_by) if rollout.started_by else "",
        started_at=rollout.started_at,
        ended_at=rollout.ended_at,
    )


def _why(rollout: Rollout) -> str:
    if not rollout.cause:
        return ""
    label = str(RollbackCause(rollout.cause).label)
    return f"{label}: {rollout.detail}" if rollout.detail else label


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    return [
        Change(field=_label(name), before=_text(before.get(name)), after=_text(after[name]))
        for name in after
        if after[name] != before.get(name)
    ]


def _label(name: str) -> str:
    return str(Deployment._meta.get_field(name).verbose_name)  # type: ignore[union-attr]


def _text(value: Any) -> str:
    return "–" if value in ("", None, {}) else str(value)
