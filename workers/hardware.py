"""What this machine has, found out without torch: the daemon must stay small, and torch would take GPU memory."""

import csv
import os
import platform
import shutil
import socket
import subprocess
from pathlib import Path

import psutil

from protocol.control import Device, Hardware

_MEBIBYTE = 1024 * 1024
_NVIDIA_SMI_TIMEOUT_S = 3


def read_hardware(folder: Path) -> Hardware:
    """The machine at this moment; free disk is that of the file system of `folder`. Blocks for up to 3 seconds."""
    return Hardware(
        hostname=socket.gethostname(),
        num_cpus=os.cpu_count() or 1,
        devices=[*_nvidia_devices(), _cpu_device()],
        disk_free_bytes=psutil.disk_usage(str(folder)).free,
    )


def parse_nvidia_smi(table: str) -> list[Device]:
    """Devices from lines of `index, name, memory.total, memory.free`, in MiB; lines without figures are left out."""
    rows = csv.reader(table.splitlines(), skipinitialspace=True)
    return [
        Device(
            name=f"{name} ({index})",
            kind="cuda",
            memory_total_bytes=int(total) * _MEBIBYTE,
            memory_free_bytes=int(free) * _MEBIBYTE,
        )
        for index, name, total, free in (row for row in rows if len(row) == 4)
        if total.isdigit() and free.isdigit()
    ]


def _cpu_device() -> Device:
    memory = psutil.virtual_memory()
    return Device(
        name=platform.processor() or platform.machine(),
        kind="cpu",
        memory_total_bytes=memory.total,
        memory_free_bytes=memory.available,
    )


def _nvidia_devices() -> list[Device]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=index,name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        asked = subprocess.run(query, capture_output=True, text=True, timeout=_NVIDIA_SMI_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        # A driver that hangs or is broken must not silence the worker.
        return []
    return parse_nvidia_smi(asked.stdout)
