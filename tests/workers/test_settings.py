"""How a worker operator starts the daemon."""

import subprocess
import sys
from pathlib import Path

import pytest

from workers.errors import SettingsInvalid
from workers.settings import read_settings


def test_the_server_is_enough():
    settings = read_settings(["--server", "http://10.0.0.1:8000/"], {})
    assert (settings.server, settings.listen_host, settings.listen_port) == ("http://10.0.0.1:8000", "127.0.0.1", 8100)


def test_every_flag_may_come_from_the_environment():
    environment = {
        "FLOTILLA_SERVER": "https://flotilla.example",
        "FLOTILLA_JOIN_TOKEN": "flt-join-x",
        "FLOTILLA_LISTEN": "[::]:0",
        "FLOTILLA_ADVERTISE": "http://gpu-1:8100",
        "FLOTILLA_NAME": "gpu-1",
        "FLOTILLA_STATE_DIR": "/tmp/x",
        "FLOTILLA_DRAIN_TIMEOUT": "2.5",
        "FLOTILLA_MEMORY_GB": "1.5",
    }
    settings = read_settings([], environment)
    assert (settings.listen_host, settings.listen_port, settings.name) == ("::", 0, "gpu-1")
    assert (settings.advertise, settings.state_dir) == ("http://gpu-1:8100", Path("/tmp/x"))
    assert (settings.join_token, settings.drain_timeout_s) == ("flt-join-x", 2.5)
    assert settings.memory_limit_bytes == 3 * 2**29


def test_a_flag_wins_over_the_environment():
    settings = read_settings(["--server", "http://a", "--name", "flag"], {"FLOTILLA_NAME": "variable"})
    assert settings.name == "flag"


def test_the_join_token_is_not_shown_with_the_settings():
    assert "flt-join-x" not in repr(read_settings(["--server", "http://a", "--join-token", "flt-join-x"], {}))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--server", "10.0.0.1:8000"],
        ["--server", "http://a", "--listen", "8100"],
        ["--server", "http://a", "--listen", "0.0.0.0:99999"],
        ["--server", "http://a", "--advertise", "gpu-1"],
        ["--server", "http://a", "--drain-timeout", "soon"],
        ["--server", "http://a", "--drain-timeout", "-1"],
        ["--server", "http://a", "--memory-gb", "0"],
        ["--server", "http://a", "--memory-gb", "half"],
    ],
)
def test_a_mistake_is_named_with_its_flag(arguments):
    with pytest.raises(SettingsInvalid, match=r"--(server|listen|advertise|drain-timeout|memory-gb)"):
        read_settings(arguments, {})


def test_the_daemon_imports_neither_torch_nor_django():
    program = "import sys, workers.__main__; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "workers" in told
    assert not {"torch", "transformers", "numpy", "django", "rest_framework", "fleet"} & set(told)
