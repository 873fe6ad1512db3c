"""The control plane's messages. The worker dials the server; nothing is ever pushed to a worker.

    worker ── Enrolment (join token) ──────────▶ server      once
    worker ◀─ Enrolled (credential) ──────────── server
    worker ── Heartbeat (credential) ──────────▶ server      every few seconds, and at once on a change
    worker ◀─ DesiredState ───────────────────── server      with a new credential, when it is to be changed

Frozen and keyword-only; unknown fields are ignored, so either side may be upgraded first.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta

from protocol.version import PROTOCOL_VERSION

ENROL_PATH = "/fleet/v1/enrol"
HEARTBEAT_PATH = "/fleet/v1/heartbeat"
INSTALL_PATH = "/fleet/v1/join.sh"
PROGRAM_PATH = "/fleet/v1/worker.tar.gz"

# What a database column must hold is bounded here, at the edge. No database takes a NUL in a text.
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"\A[^\x00]*\Z")]
VersionText = Annotated[str, Meta(max_length=32, pattern=r"\A[^\x00]*\Z")]
Text = Annotated[str, Meta(max_length=500, pattern=r"\A[^\x00]*\Z")]
LongText = Annotated[str, Meta(max_length=20_000, pattern=r"\A[^\x00]*\Z")]
Identifier = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[\w-]+\Z")]
Sha256 = Annotated[str, Meta(pattern=r"\A([0-9a-f]{64})?\Z")]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Bytes = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Sequence = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class ReplicaPhase(StrEnum):
    """What a worker observes of one replica. The worker moves it, nobody else; the server only stores what it hears.

        PENDING ──▶ LOADING ──▶ READY ──▶ DRAINING ──▶ (gone from the heartbeat)
           ▲           │          │
           └── retry ──┴─ FAILED ◀┘

        READY ── idle for long ──▶ ASLEEP ── a request ──▶ WAKING ──▶ READY, or FAILED

    PENDING: wanted by the server, not yet begun (or waiting to be tried again).
    LOADING: its engine process is starting; `progress` says how far. At its end it must answer the canary prompt.
    READY: answers requests.
    ASLEEP: nobody asked it for as long as its deployment says, so its engine process was ended and its memory is free.
    Still good: the next request wakes it. `error` says why that could not be, if it could not.
    WAKING: as LOADING, while the requests that woke it, and those that come, are held for it.
    DRAINING: finishes the requests it has, and those that still come in the first moments.
    FAILED: the engine ended, could not load or failed the canary; `error` says why, the worker tries again with
    back-off.
    """

    PENDING = "pending"
    LOADING = "loading"
    READY = "ready"
    ASLEEP = "asleep"
    WAKING = "waking"
    DRAINING = "draining"
    FAILED = "failed"


ANSWERING = frozenset({ReplicaPhase.READY, ReplicaPhase.ASLEEP, ReplicaPhase.WAKING})
"""Phases in which a request is answered, if need be after the engine has been started again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One accelerator, or the CPU."""

    name: Text
    kind: Text  # "cpu", "cuda" or "mps"
    memory_total_bytes: Bytes
    memory_free_bytes: Bytes
    utilization: Share | None = None
    """Of its computing time since the last heartbeat; None where nobody can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What the worker's machine has, at this moment."""

    hostname: Text
    num_cpus: Count
    devices: list[Device]
    disk_free_bytes: Bytes
    """Where models lie."""
    disk_total_bytes: Bytes = 0
    versions: dict[VersionText, VersionText] = field(default_factory=dict)
    """Of Python and of the libraries that run models, by name."""
    engines: dict[VersionText, VersionText] = field(default_factory=dict)
    """What it can run, of protocol.engines, each with its version or nothing; empty from daemons that do not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """Of any message from a worker: what the server reads first, since all else may have changed its shape."""

    protocol_version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The body of every answer of the control plane that is an error: `{"error": {"message", "code"}}`."""

    message: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """See Refusal."""

    error: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A machine asks to join. The join token travels in the Authorization header, not here."""

    name: Name
    address: Text
    """Base URL at which the gateway reaches this worker, e.g. `http://10.0.0.7:8100`."""
    gateway_secret: Annotated[str, Meta(min_length=32, max_length=200, pattern=r"\A[\x21-\x7e]+\Z")]
    """What the gateway must show to this worker; made by the worker."""
    hardware: Hardware
    software_version: VersionText
    certificate_sha256: Sha256 = ""
    """In hex, of the TLS certificate that it shows: the gateway takes no other. Empty: one that everybody trusts."""
    protocol_version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """Welcome. The credential is shown this once."""

    worker_id: str
    credential: str
    heartbeat_interval_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What an engine says of the model that it loaded."""

    context_length: Count
    capabilities: list[Text]
    """Of "chat", "completions", "embeddings", "tools", and others in protocol.endpoints and protocol.parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """How much of a model has come from a hub."""

    num_bytes: Bytes
    total_bytes: Bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStatus:
    """One replica as the worker sees it."""

    replica_id: Identifier
    phase: ReplicaPhase
    progress: Share = 0.0
    """While LOADING or WAKING: of the download first, if there is one, and then, from 0 again, of the loading."""
    download: Download | None = None
    """While the model still comes from a hub."""
    error: LongText = ""
    num_running: Count = 0
    num_waiting: Count = 0
    num_restarts: Count = 0
    """How often its engine was started again since the replica was placed, or the daemon started."""
    num_answers: Count = 0
    """Requests that it has answered since then, well or badly; those that the caller broke off are not counted."""
    num_errors: Count = 0
    """Of these, the ones that failed by the engine's fault."""
    num_out_of_memory: Count = 0
    """Steps of its engine that did not fit into memory, since that was started; each made those after it smaller."""
    max_step_tokens: Count | None = None
    """What a step may have now; None: not told."""
    memory_bytes: Bytes = 0
    """What its engine process, with its children, holds of the machine's memory; not of an accelerator's."""
    info: ModelInfo | None = None
    adapters: dict[Name, Text] = field(default_factory=dict)
    """Those that were tried, each with why it cannot be used; empty: it answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The worker's observed state, whole."""

    boot_id: Identifier
    """Random for each start of the daemon."""
    sequence: Sequence
    """Counts up from 1 within a boot; a beat that does not is a replay."""
    hardware: Hardware
    software_version: VersionText
    address: Text
    replicas: list[ReplicaStatus] = field(default_factory=list)
    is_draining: bool = False
    certificate_sha256: Sha256 = ""
    """As in Enrolment; it may change with a restart."""
    protocol_version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredReplica:
    """One engine process that the worker should run."""

    replica_id: str
    model: str
    """The name that callers use."""
    engine: str
    """One of protocol.engines."""
    source: str
    """A folder on the worker, `demo` for the built-in model, or a hub id; empty for engines that need none."""
    dtype: str = "auto"
    device: str = "auto"
    """"auto", "cpu", "cuda", "cuda:1", "mps": handed to accelerate's device_map."""
    max_concurrency: int = 8
    quantization: str = ""
    engine_options: dict[str, Any] = field(default_factory=dict)
    """As the administrator wrote them; the server has checked them by protocol.engines, and so does the worker."""
    adapters: dict[str, str] = field(default_factory=dict)
    """LoRA adapters: the name that callers use → a folder on the worker, or a hub id. They may change while it runs."""
    idle_unload_s: float | None = None
    """It is put to sleep when nobody has asked it for so long; None: never. It may change while it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredState:
    """All that the worker should run; what is not listed here should be drained and unloaded."""

    replicas: list[DesiredReplica]
    heartbeat_interval_s: float
    awaits_approval: bool = False
    """An administrator must approve this worker first; until then it is to run nothing."""
    next_credential: str = ""
    """To be kept and used from now on. The one before it is good until this one was used."""
