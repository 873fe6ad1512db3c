"""One replica's engine, in a process of its own: started, watched, started again when it dies, drained and stopped.

How the two talk is told in workers.engine_program. What the engine starts in its turn belongs to its process group, and
ends with it.
"""

import asyncio
import logging
import signal
import time
from asyncio.subprocess import Process
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from protocol import codec
from protocol.control import DesiredReplica, ModelInfo, ReplicaPhase, ReplicaStatus
from protocol.redaction import redact
from workers.adapters import Adapters
from workers.canary import CanaryFailed, ask_canary
from workers.children.registry import LAUNCHES
from workers.engine_connection import EngineConnection, EngineSilent
from workers.engine_program import EngineReport
from workers.engine_start import lines_of, start
from workers.engines.base import EngineStats
from workers.errors import NoRoom
from workers.hardware import memory_of
from workers.liveness import PROBE_INTERVAL_S, Liveness, Verdict
from workers.occupancy import Occupancy
from workers.process_group import end_group, kill_group
from workers.programs import Programs

logger = logging.getLogger(__name__)

_LINES_KEPT = 15
_LONGEST_ERROR = 5000
_LONGEST_LINE_KEPT = 300
_LONGEST_PAUSE_S = 60.0
_STEADY_AFTER_S = 60.0
"""An engine that was ready for so long begins anew with short pauses when it dies."""
_GRACE_S = 2.0
"""How long after the word that a replica drains requests may still come: the gateways hear of it within that time."""
_LAST_WORDS_TIMEOUT_S = 1.0
_WAKE_TIMEOUT_S = 240.0
"""How long a request is held for an engine to wake: the gateway's own patience is a minute longer."""
_KILLED = 128
"""An exit status beyond it tells the signal that killed a child server."""
_SIGNALS = frozenset(signal.Signals)
_NO_PROGRAMS = Programs()


async def _rouse_at_once(engine: "EngineProcess") -> None:
    engine.rouse()


class EngineProcess:
    """See ReplicaPhase for the states. `on_change` is called at each change that the server should hear of; `rouse`
    when a request comes for an engine that sleeps: it calls the engine's own `rouse`, or raises NoRoom."""

    def __init__(
        self,
        replica: DesiredReplica,
        socket_path: Path,
        on_change: Callable[[], None],
        *,
        programs: Programs = _NO_PROGRAMS,
        rouse: Callable[["EngineProcess"], Awaitable[None]] = _rouse_at_once,
    ) -> None:
        self.replica = replica
        self.idle_unload_s = replica.idle_unload_s
        self.phase = ReplicaPhase.PENDING
        self.connection: EngineConnection | None = None
        """While there is a process that is ready, or was."""
        self.occupancy = Occupancy()
        self.adapters = Adapters(replica.adapters, on_change)
        self._socket_path = socket_path
        self._on_change = on_change
        self._programs = programs
        self._rouse = rouse
        self._report = EngineReport(phase=ReplicaPhase.PENDING)
        self._info: ModelInfo | None = None
        """Also while it sleeps."""
        self._stats = EngineStats(num_running=0, num_waiting=0)
        self._process: Process | None = None
        self._ready_at: float | None = None
        self._num_restarts = 0
        self._is_closed = False
        self._memory_bytes = 0
        self._error = ""
        self._tail: deque[str] = deque(maxlen=_LINES_KEPT)
        self._loaded = asyncio.Event()
        """Set while the process that runs is one that has become ready."""
        self._settled = asyncio.Event()
        """Set when it is known whether the process that was started can be asked."""
        self._roused = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether a request that comes now is answered: also in the first moments of draining, lest it be lost, and by
        an engine that must wake for it."""
        can_wake = self.phase in (ReplicaPhase.ASLEEP, ReplicaPhase.WAKING)
        is_up = self._is_loaded and self.phase in (ReplicaPhase.READY, ReplicaPhase.DRAINING)
        return (can_wake or is_up) and not self._is_closed

    @property
    def may_sleep(self) -> bool:
        """Whether the administrator lets it be unloaded when it is idle, and it is."""
        is_idle = self.phase is ReplicaPhase.READY and not self.occupancy.num_in_flight
        return is_idle and self.idle_unload_s is not None

    @property
    def is_due_to_sleep(self) -> bool:
        return self.may_sleep and self.occupancy.idle_for_s >= (self.idle_unload_s or 0)

    @property
    def _is_loaded(self) -> bool:
        return self._report.phase is ReplicaPhase.READY

    @property
    def is_child(self) -> bool:
        """Whether it is somebody else's server: it speaks OpenAI's dialect, and nothing beyond."""
        return self.replica.engine in LAUNCHES

    @property
    def load(self) -> EngineStats:
        """What this daemon has passed on and not seen answered: fresher than what the engine could be asked."""
        num_in_flight = self.occupancy.num_in_flight
        num_running = min(num_in_flight, self.replica.max_concurrency)
        return EngineStats(num_running=num_running, num_waiting=num_in_flight - num_running)

    @property
    def stats(self) -> EngineStats:
        """What it last told itself."""
        return self._stats

    def status(self) -> ReplicaStatus:
        """This replica as the heartbeat tells it."""
        return ReplicaStatus(
            replica_id=self.replica.replica_id,
            phase=self.phase,
            progress=min(1.0, max(0.0, self._report.progress)),
            download=self._report.download,
            error=self._error,
            num_running=self._stats.num_running,
            num_waiting=self._stats.num_waiting,
            num_restarts=self._num_restarts,
            num_answers=self.occupancy.num_answers,
            num_errors=self.occupancy.num_errors,
            num_out_of_memory=self._stats.num_out_of_memory,
            max_step_tokens=self._stats.max_step_tokens,
            memory_bytes=self._memory_bytes,
            adapters=self.adapters.states,
            info=self._info,
        )

    async def refresh_stats(self) -> None:
        """Ask the engine for its load; an engine that does not answer in time keeps its last figures."""
        self._memory_bytes = await self.memory_bytes()
        if self._is_loaded and self.phase is not ReplicaPhase.FAILED:
            await self._answers_stats()

    async def _answers_stats(self) -> bool:
        """Whether it answered, in time; its load is taken down. One that is being ended does not."""
        if self.connection is None:
            return False
        try:
            self._stats = await self.connection.stats() or self.load
        except EngineSilent:
            return False
        return True

    async def memory_bytes(self) -> int:
        """What its process and all that it has started hold of the machine's memory; 0 where there is none."""
        process = self._process
        is_up = process is not None and process.returncode is None
        return await asyncio.to_thread(memory_of, process.pid) if process and is_up else 0

    async def run(self) -> None:
        """Keep the engine running until it was drained or this task is cancelled, which ends the process too."""
        num_failures = 0
        while True:
            ready_for_s = await self._run_once()
            if self._report.phase is ReplicaPhase.ASLEEP:
                await self._roused.wait()
                num_failures = 0
                continue
            if self.phase is ReplicaPhase.DRAINING:
                return
            num_failures = 1 if ready_for_s > _STEADY_AFTER_S else num_failures + 1
            pause_s = min(_LONGEST_PAUSE_S, 2.0 ** min(num_failures - 1, 10))
            logger.error("%s: %s\nNext try in %g s.", self.replica.model, self._error, pause_s)
            await asyncio.sleep(pause_s)
            self._num_restarts += 1

    async def sleep(self) -> bool:
        """End the process until `rouse` is called, if it may sleep; else False. Its memory is free afterwards."""
        process = self._process
        if not self.may_sleep or process is None:
            return False
        logger.info("%s is idle: it is unloaded until it is asked again.", self.replica.model)
        # From here on requests are held, so that none meets the process that ends.
        self._loaded.clear()
        self._settled.clear()
        self._roused.clear()
        self._report, self._stats = EngineReport(phase=ReplicaPhase.ASLEEP), EngineStats(num_running=0, num_waiting=0)
        self._enter(ReplicaPhase.ASLEEP)
        await end_group(process)
        return True

    def rouse(self) -> None:
        """Start the process again; nothing, if it does not sleep."""
        if self.phase is ReplicaPhase.ASLEEP:
            self._error = ""
            self._enter(ReplicaPhase.WAKING)
            self._roused.set()

    async def wake(self) -> bool:
        """Whether requests can be passed on, once that is known: an engine that sleeps is started for the one that
        calls, which is to be counted as in flight already. Raises NoRoom."""
        if self.phase is ReplicaPhase.ASLEEP:
            await self._rouse_or_say_why()
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAKE_TIMEOUT_S):
                await self._settled.wait()
        return self._is_loaded

    async def _rouse_or_say_why(self) -> None:
        try:
            await self._rouse(self)
        except NoRoom as error:
            self._error = str(error)
            self._on_change()
            raise

    async def drain(self, timeout_s: float, *, grace_s: float = _GRACE_S) -> None:
        """Take no new request once the gateways have heard of it; wait for those that run, so long at most."""
        may_be_asked = self.phase is ReplicaPhase.READY
        self._enter(ReplicaPhase.DRAINING)
        if may_be_asked:
            await asyncio.sleep(min(grace_s, timeout_s))
        self._is_closed = True
        await self.occupancy.wait_until_idle(timeout_s)

    def kill(self) -> None:
        """End the process this instant, with all that it has started."""
        if self._process is not None and self._process.returncode is None:
            kill_group(self._process)

    async def _run_once(self) -> float:
        """Start the engine and watch it until it ends; how many seconds it was ready for."""
        self._tail.clear()
        self._report, self._ready_at = EngineReport(phase=ReplicaPhase.LOADING), None
        self._loaded.clear()
        self._settled.clear()
        self._enter(ReplicaPhase.LOADING)
        self._socket_path.unlink(missing_ok=True)
        try:
            process = self._process = await start(
                self.replica, self._socket_path, programs=self._programs, is_child=self.is_child
            )
        except OSError as error:
            self._fail(f"The engine process cannot be started: {error}")
            return 0.0
        try:
            await self._watch(process)
            if self._report.phase is not ReplicaPhase.ASLEEP:
                self._fail(self._why_ended(process.returncode))
        finally:
            if self._ready_at is None:
                # It has nothing to finish, and while it imports its libraries it is deaf to SIGTERM for seconds.
                self.kill()
            await end_group(process)
            if self._report.phase is not ReplicaPhase.ASLEEP:
                # Answers that were cut short get their last event now; a session closed under them leaves them hanging.
                await self.occupancy.wait_until_idle(_LAST_WORDS_TIMEOUT_S)
            connection, self.connection = self.connection, None
            if connection is not None:
                await connection.close()
        return time.monotonic() - self._ready_at if self._ready_at else 0.0

    async def _watch(self, process: Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.TaskGroup() as group:
            readers = [
                group.create_task(self._read_reports(process, process.stdout), name="engine reports"),
                group.create_task(self._read_log(process.stderr), name="engine log"),
            ]
            watchers = [
                group.create_task(self._probe(process), name="engine probes"),
                group.create_task(self._keep_adapters(), name="adapters"),
            ]
            await process.wait()
            for watcher in watchers:
                watcher.cancel()
            # Its last words may still be in the pipes; a process that it left behind may hold them open for ever.
            await asyncio.wait(readers, timeout=1)
            for reader in readers:
                reader.cancel()

    async def _probe(self, process: Process) -> None:
        """Look whether it still answers. One that hangs gets no requests; one that hangs for long is killed."""
        liveness = Liveness()
        while True:
            await asyncio.sleep(PROBE_INTERVAL_S)
            if not self._is_loaded:
                continue
            match liveness.judge(has_answered=await self._answers_stats()):
                case Verdict.LIVES if self.phase is ReplicaPhase.FAILED:
                    self._error = ""
                    self._enter(ReplicaPhase.READY)
                case Verdict.STUCK if self.phase is ReplicaPhase.READY:
                    self._error = "The engine does not answer. If it stays so, it is killed and started again."
                    self._enter(ReplicaPhase.FAILED)
                case Verdict.DEAD:
                    self._fail("The engine did not answer for half a minute, so it was killed.")
                    kill_group(process)

    async def _keep_adapters(self) -> None:
        await self._loaded.wait()
        if self.connection is not None and not self.is_child:
            await self.adapters.keep(self.connection, on_use=self._settled.set)

    async def _read_reports(self, process: Process, stdout: asyncio.StreamReader) -> None:
        async for line in lines_of(stdout):
            try:
                self._take(await self._tried(codec.decode(EngineReport, line.encode())))
            except codec.MalformedMessage:
                # Libraries print what they like.
                logger.info("[%s] %s", self.replica.model, line)
            if self._report.phase is ReplicaPhase.FAILED:
                with suppress(ProcessLookupError):
                    process.terminate()

    async def _read_log(self, stderr: asyncio.StreamReader) -> None:
        async for line in lines_of(stderr):
            self._tail.append(line[:_LONGEST_LINE_KEPT])
            logger.info("[%s] %s", self.replica.model, line)

    async def _tried(self, report: EngineReport) -> EngineReport:
        """READY only if the engine answers the canary too; else the failure."""
        if report.phase is not ReplicaPhase.READY or report.info is None or self.connection is not None:
            return report
        self.connection = EngineConnection(self._socket_path, report.child)
        model = report.child.model if report.child else self.replica.model
        # Child servers read recordings as forms, and may refuse one of silence.
        unasked = {"transcription"} if report.child else set()
        try:
            await ask_canary(self.connection.session, model, set(report.info.capabilities) - unasked)
        except CanaryFailed as error:
            return EngineReport(
                phase=ReplicaPhase.FAILED, error=f"It loaded, but failed to answer the canary prompt: {error}"
            )
        return report

    def _take(self, report: EngineReport) -> None:
        if report.phase is ReplicaPhase.FAILED:
            self._fail(report.error)
            return
        self._report = report
        if report.phase is ReplicaPhase.READY:
            self._ready_at = time.monotonic()
            self._info, self._error = report.info, ""
            self.occupancy.begin_idling()
            self._loaded.set()
            if not self.adapters.states:
                # Those that it had before it slept must be back before a request that waits for it goes on.
                self._settled.set()
            logger.info("%s is ready.", self.replica.model)
        self._enter(report.phase)

    def _fail(self, why: str) -> None:
        """`why` is told until the engine is ready again, through all tries."""
        self._error = redact(why).replace("\0", "")[:_LONGEST_ERROR]
        self._stats = EngineStats(num_running=0, num_waiting=0)
        self._report, self._info = EngineReport(phase=ReplicaPhase.FAILED), None
        self.adapters.forget()
        self._enter(ReplicaPhase.FAILED)
        self._settled.set()

    def _enter(self, phase: ReplicaPhase) -> None:
        if phase is ReplicaPhase.LOADING and self.phase is ReplicaPhase.WAKING:
            phase = ReplicaPhase.WAKING
        # Draining is not left any more.
        if self.phase is not ReplicaPhase.DRAINING:
            self.phase = phase
        self._on_change()

    def _why_ended(self, code: int | None) -> str:
        if self._report.phase is ReplicaPhase.FAILED:
            return self._error
        killer = -code if code and code < 0 else (code or 0) - _KILLED
        how = f"was killed by {signal.Signals(killer).name}" if killer in _SIGNALS else f"ended with code {code}"
        hint = " Perhaps the machine ran out of memory." if killer == signal.SIGKILL else ""
        return "\n".join([f"The engine process {how}.{hint}", *self._tail])
