"""The worker program for a machine that has nothing yet: one command fetches it from here, installs and starts it."""

import io
import tarfile
from functools import cache
from pathlib import Path
from shlex import quote
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import TextChoices
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _

from protocol.control import INSTALL_PATH, PROGRAM_PATH

_PARTS = ("workers", "protocol", "requirements/worker.txt", "LICENSE")
_CPU_WHEELS = "https://download.pytorch.org/whl/cpu"


class Hardware(TextChoices):
    """What the machine computes with: it decides which build of torch is installed."""

    CPU = "cpu", _("CPU only")
    NVIDIA = "nvidia", _("NVIDIA GPU")
    APPLE = "apple", _("Apple silicon")


def join_command(server: str, token: str, hardware: str) -> str:
    """The one line to paste into the machine's shell."""
    url = f"{server}{INSTALL_PATH}?hardware={hardware}"
    return f"curl -fsSL -H {quote(f'Authorization: Bearer {token}')} {quote(url)} | sh"


def install_script(server: str, token: str, hardware: str) -> str:
    """What that line runs: a shell script. `hardware` that is not one of Hardware counts as NVIDIA, torch's default."""
    context = {
        "server": quote(server),
        "token": quote(token),
        "program": quote(server + PROGRAM_PATH),
        # A worker listens to its own machine only, unless told otherwise.
        "listen": " --listen 0.0.0.0:8100" if is_remote(server) else "",
        "wheels": quote(_CPU_WHEELS) if hardware == Hardware.CPU else "",
    }
    return render_to_string("fleet/join.sh", context)


def is_remote(server: str) -> bool:
    """Whether who reaches the server by this address may sit at another machine."""
    return urlsplit(server).hostname not in ("127.0.0.1", "localhost", "::1")


@cache
def worker_program() -> bytes:
    """The worker's source as .tar.gz, of the version that this server runs."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=6) as archive:
        for part in _PARTS:
            archive.add(Path(settings.BASE_DIR) / part, arcname=part, filter=_source_only)
    return buffer.getvalue()


def _source_only(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if "__pycache__" in member.name:
        return None
    # Nobody is to learn who owns the files here.
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
