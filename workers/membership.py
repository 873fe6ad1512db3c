"""Being a worker of the server: join once, then beat, and pass on what the server wants."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

from protocol.control import DesiredState, Enrolment, Heartbeat
from protocol.tokens import TokenKind, is_well_formed, make_token
from protocol.version import SOFTWARE_VERSION
from workers import credential as kept
from workers import tls
from workers.control_plane import ControlPlane, jittered, pause_after
from workers.credential import Credential
from workers.errors import (
    CredentialRefused,
    RequestRefused,
    ServerUnreachable,
    SettingsInvalid,
    StateUnwritable,
    WorkerRevoked,
)
from workers.hardware import HardwareReader
from workers.programs import Programs
from workers.reconciler import Reconciler
from workers.settings import WorkerSettings

logger = logging.getLogger(__name__)

_GATHER_CHANGES_S = 0.1
"""A model that loads tells its progress often: what happens within this time goes in one heartbeat."""


class Membership:
    """`address`: where the gateway reaches this daemon; known once it listens."""

    def __init__(self, settings: WorkerSettings, control_plane: ControlPlane, programs: Programs) -> None:
        self.address = ""
        self.is_draining = False
        self._settings = settings
        self._control_plane = control_plane
        self._hardware = HardwareReader(settings.state_dir, programs, memory_limit_bytes=settings.memory_limit_bytes)
        self._certificate_sha256 = tls.fingerprint(settings.tls_cert)
        self._credential: Credential | None = None
        self._is_kept = True
        self._awaits_approval = False
        self._interval_s = 5.0
        self._boot_id = uuid4().hex
        self._sequence = 0
        self._changed = asyncio.Event()

    @property
    def gateway_secret(self) -> str:
        """What the gateway must show; empty before this machine has joined."""
        return self._credential.gateway_secret if self._credential else ""

    @property
    def has_joined(self) -> bool:
        return self._credential is not None

    def announce(self) -> None:
        """Beat at once: something has changed."""
        self._changed.set()

    async def join(self) -> None:
        """Take up the kept credential, or enrol; waits for as long as the server is away. Raises WorkerError."""
        self._credential = self._kept_credential()
        if self._credential is None:
            await _patiently(self._enrol)

    async def beat_forever(self, reconciler: Reconciler) -> None:
        """Beat at the server's interval, at once on a change, ever less often while it is away. Raises WorkerError."""
        num_failures = 0
        while True:
            self._changed.clear()
            try:
                await self._beat_or_join_again(reconciler)
            except (ServerUnreachable, StateUnwritable) as error:
                num_failures += 1
                logger.warning("No heartbeat: %s", error)
                await asyncio.sleep(pause_after(num_failures))
            else:
                num_failures = 0
                await _wait(self._changed, jittered(self._interval_s))
                await asyncio.sleep(_GATHER_CHANGES_S)

    async def beat(self, reconciler: Reconciler) -> None:
        """Tell the observed state, take the desired state. Raises ServerUnreachable, RequestRefused."""
        assert self._credential is not None
        if not self._is_kept:
            self._keep(self._credential)
        await reconciler.refresh_stats()
        hardware = await self._hardware.read()
        self._sequence += 1
        heartbeat = Heartbeat(
            boot_id=self._boot_id,
            sequence=self._sequence,
            hardware=hardware,
            software_version=SOFTWARE_VERSION,
            address=self.address,
            replicas=reconciler.statuses(),
            is_draining=self.is_draining,
            certificate_sha256=self._certificate_sha256,
        )
        desired = await self._control_plane.beat(self._credential.credential, heartbeat)
        self._interval_s = desired.heartbeat_interval_s
        self._take_up(desired.next_credential)
        self._tell_approval(desired)
        if not self.is_draining:
            reconciler.want(desired.replicas)

    def _tell_approval(self, desired: DesiredState) -> None:
        if desired.awaits_approval != self._awaits_approval:
            waits = "The worker waits for an administrator's approval: it is to run nothing until then."
            logger.info(waits if desired.awaits_approval else "An administrator has approved this worker.")
        self._awaits_approval = desired.awaits_approval

    def _take_up(self, next_credential: str) -> None:
        """Keep the new credential, then use it; the server forgets the old one when it hears the new."""
        if self._credential is None or not is_well_formed(next_credential, TokenKind.WORKER_CREDENTIAL):
            return
        renewed = replace(self._credential, credential=next_credential)
        try:
            kept.save(self._settings.state_dir, renewed)
        except StateUnwritable as error:
            logger.error("%s The old credential stays in use until there is room for the new one.", error)
            return
        self._credential = renewed
        logger.info("The credential was changed, as the administrator asked.")
        self.announce()

    async def _beat_or_join_again(self, reconciler: Reconciler) -> None:
        try:
            await self.beat(reconciler)
        except WorkerRevoked:
            # Not even with a token that would still let it in: the administrator has decided.
            raise
        except CredentialRefused as error:
            if not self._settings.join_token:
                raise CredentialRefused(f"{error} Give the daemon a join token (--join-token).") from error
            logger.warning("%s Joining again.", error)
            await self._enrol()
            self.announce()
        except RequestRefused as error:
            # What is loaded goes on serving while somebody mends it.
            logger.error("The server refuses the heartbeat: %s", error)

    def _kept_credential(self) -> Credential | None:
        settings = self._settings
        found = kept.load(settings.state_dir)
        if found is None or kept.belongs_to(found, settings.server):
            return found
        if not settings.join_token:
            raise SettingsInvalid(
                f"The folder {settings.state_dir} holds the credential for {found.server}, not for {settings.server}. "
                "Choose another --state-dir, or give a join token of the new server (--join-token)."
            )
        logger.warning("Leaving %s for %s.", found.server, settings.server)
        return None

    async def _enrol(self) -> None:
        if not self._settings.join_token:
            raise SettingsInvalid(
                "This machine has not joined yet: give it a join token, which an administrator issues in the admin "
                "(--join-token, or the variable FLOTILLA_JOIN_TOKEN)."
            )
        # Found out before the token is used: a machine that forgot who it is would have to join again and again.
        kept.ensure_room(self._settings.state_dir)
        secret = make_token(TokenKind.GATEWAY_SECRET)
        enrolled = await self._control_plane.enrol(self._settings.join_token, await self._enrolment(secret))
        self._interval_s = enrolled.heartbeat_interval_s
        self._credential = Credential(
            server=self._settings.server,
            worker_id=enrolled.worker_id,
            credential=enrolled.credential,
            gateway_secret=secret,
        )
        self._keep(self._credential)
        logger.info("Joined %s as %s.", self._settings.server, self._settings.name)

    def _keep(self, credential: Credential) -> None:
        """Write it down; if that fails go on without, and try again with each heartbeat."""
        try:
            kept.save(self._settings.state_dir, credential)
            self._is_kept = True
        except StateUnwritable as error:
            self._is_kept = False
            logger.error("%s A restart would have to join again. Trying again.", error)

    async def _enrolment(self, secret: str) -> Enrolment:
        return Enrolment(
            name=self._settings.name,
            address=self.address,
            gateway_secret=secret,
            hardware=await self._hardware.read(),
            software_version=SOFTWARE_VERSION,
            certificate_sha256=self._certificate_sha256,
        )


async def _patiently(attempt: Callable[[], Awaitable[None]]) -> None:
    """Try until the server is there, and the disk has room. Whatever else is wrong is raised."""
    num_failures = 0
    while True:
        try:
            return await attempt()
        except (ServerUnreachable, StateUnwritable) as error:
            num_failures += 1
            logger.warning("%s Trying again.", error)
            await asyncio.sleep(pause_after(num_failures))


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    # Not wait_for: in Python 3.11 it swallows a cancellation that comes at the same moment as the event.
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
