"""From the wizard to a worker: the command that it shows is run in a shell."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.installation import join_command
from fleet.models import Worker
from tests.journeys.waiting import PATIENCE_S, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the libraries are installed already: this is no test of the network."""
    home = tmp_path / "flotilla-worker"
    home.mkdir()
    (home / ".venv").symlink_to(sys.prefix)
    return home


def test_the_command_makes_a_worker_of_the_machine(web, join_token, home):
    environment = os.environ | {"FLOTILLA_HOME": str(home), "FLOTILLA_STATE_DIR": str(home / "state")}
    environment |= {"FLOTILLA_LISTEN": "127.0.0.1:0", "FLOTILLA_NAME": "pasted"}
    log = home / "log"
    command = join_command(web.url, join_token, "nvidia")
    with log.open("wb") as output:
        shell = subprocess.Popen(
            ["sh", "-c", command], env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        joined = Worker.objects.filter(name="pasted", last_heartbeat_at__isnull=False)
        wait_until(joined.exists, what="the machine has joined", log=log)
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait(PATIENCE_S)
    assert join_token not in log.read_text()
