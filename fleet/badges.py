"""How a state is shown: a word, and a colour's meaning."""

from dataclasses import dataclass

from django.template.defaultfilters import filesizeformat
from django.utils.translation import pgettext

from fleet.models import WorkerState
from protocol.control import Download, ReplicaPhase

LOST = "lost"
"""Shown in place of the phase when the replica's worker is silent or revoked: what it last said may be untrue."""
UNPLACED = "unplaced"
STOPPED = "stopped"

_TONES = {
    ReplicaPhase.READY.value: "success",
    ReplicaPhase.LOADING.value: "info",
    ReplicaPhase.WAKING.value: "info",
    ReplicaPhase.DRAINING.value: "warning",
    ReplicaPhase.FAILED.value: "danger",
    LOST: "danger",
    UNPLACED: "warning",
    WorkerState.ALIVE.value: "success",
    WorkerState.UNREACHABLE.value: "warning",
    WorkerState.SILENT.value: "danger",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """A state in one word. `tone` is a colour's meaning: success, info, warning, danger or neutral."""

    text: str
    tone: str
    progress: int | None = None
    """Percent, while something loads."""


def state_badge(state: WorkerState) -> Badge:
    """The badge of a worker's state."""
    return Badge(text=str(state.label), tone=_TONES.get(state.value, "neutral"))


def phase_badge(phase: str, progress: float | None = None, download: Download | None = None) -> Badge:
    """The badge of a replica's or deployment's phase. What loads or wakes says how far, if given `progress`, 0 to 1;
    what is downloaded first says how much."""
    is_loading = phase in (ReplicaPhase.LOADING, ReplicaPhase.WAKING)
    percent = round(progress * 100) if progress is not None and is_loading else None
    text = _phase_words()[phase]
    if is_loading and download:
        text = _downloading(download)
    elif percent is not None:
        text = f"{text} {percent} %"
    return Badge(text=text, tone=_TONES.get(phase, "neutral"), progress=percent)


def _downloading(download: Download) -> str:
    return pgettext("replica", "downloading %(here)s of %(all)s") % {
        "here": filesizeformat(download.num_bytes), "all": filesizeformat(download.total_bytes),
    }  # fmt: skip


def _phase_words() -> dict[str, str]:
    return {
        ReplicaPhase.PENDING: pgettext("replica", "pending"),
        ReplicaPhase.LOADING: pgettext("replica", "loading"),
        ReplicaPhase.READY: pgettext("replica", "ready"),
        ReplicaPhase.ASLEEP: pgettext("replica", "asleep"),
        ReplicaPhase.WAKING: pgettext("replica", "waking"),
        ReplicaPhase.DRAINING: pgettext("replica", "draining"),
        ReplicaPhase.FAILED: pgettext("replica", "failed"),
        LOST: pgettext("replica", "lost"),
        UNPLACED: pgettext("deployment", "no place"),
        STOPPED: pgettext("deployment", "stopped"),
    }
