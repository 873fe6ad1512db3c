"""`manage.py up`, as a newcomer meets it: one command, everything runs, Ctrl-C leaves nothing behind."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import openai
import psutil
import pytest
import requests

from tests.ports import reserved_port

ROOT = Path(__file__).parent.parent.parent
STARTS_WITHIN_S = 180
ENDS_WITHIN_S = 60

pytestmark = pytest.mark.xdist_group("up")


def embedded_environment() -> dict[str, str]:
    """Ours, without what would make it another installation than a newcomer's."""
    grown = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "SECRET_KEY", "ENCRYPTION_KEY")
    return {name: value for name, value in os.environ.items() if name not in grown}


class Installation:
    """A running `manage.py up` on a folder of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.output = folder / "output.txt"
        self.start()

    def start(self) -> None:
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--port", str(self.port)],
                cwd=ROOT,
                env={**embedded_environment(), "VAR_DIR": str(self.folder)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def says(self) -> str:
        return self.output.read_text()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + STARTS_WITHIN_S
        while "Flotilla is running" not in self.says():
            assert self.process.poll() is None, self.says()
            assert time.monotonic() < deadline, self.says()
            time.sleep(0.2)

    def credentials(self) -> dict[str, str]:
        return json.loads((self.folder / "credentials.json").read_text())

    def part(self, words: str) -> psutil.Process:
        """The process of this installation whose command line has these words."""
        found = psutil.process_iter(["cmdline"])
        return next(each for each in found if self._is_ours(each) and words in " ".join(each.info["cmdline"]))

    def processes(self) -> list[psutil.Process]:
        """Everything alive that was started with this folder, whoever its parent is now."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            is_alive = process.status() != psutil.STATUS_ZOMBIE
            return is_alive and process.environ().get("VAR_DIR") == str(self.folder) and process.pid != os.getpid()
        except psutil.Error:
            return False

    def stop(self, how: int = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(ENDS_WITHIN_S)


@contextmanager
def installation(folder: Path, port: int):
    running = Installation(folder, port)
    try:
        yield running
    finally:
        running.stop()
        for process in running.processes():
            process.kill()


@pytest.fixture(scope="module")
def the_installation(tmp_path_factory):
    with reserved_port() as port, installation(tmp_path_factory.mktemp("var"), port) as first:
        first.wait_until_ready()
        yield first


@pytest.fixture
def running(the_installation):
    """Ready, also after a test that ended it."""
    if the_installation.process.poll() is not None:
        the_installation.start()
    the_installation.wait_until_ready()
    return the_installation


@pytest.fixture
def client(running):
    with openai.OpenAI(
        base_url=f"{running.credentials()['url']}/v1", api_key=running.credentials()["api_key"]
    ) as client:
        yield client


def test_the_credentials_file_says_all_and_is_private(running):
    path = running.folder / "credentials.json"
    assert set(running.credentials()) == {"url", "admin_username", "admin_password", "api_key", "model"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_progress_was_visible_before_it_was_ready(running):
    before, _, _ = running.says().partition("Flotilla is running")
    assert re.search(r"preparing the database.*(waiting for the worker|loading)", before, re.DOTALL)


def test_the_printed_curl_line_works_when_pasted(running):
    line = next(line for line in running.says().splitlines() if line.strip().startswith("curl "))
    answer = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["choices"][0]["message"]["content"]


def test_the_demo_model_answers_the_openai_client(running, client):
    answer = client.chat.completions.create(
        model=running.credentials()["model"], messages=[{"role": "user", "content": "What is the capital of France?"}]
    )
    assert "Paris" in answer.choices[0].message.content


def test_the_administrator_can_sign_in_with_what_was_printed(running):
    credentials = running.credentials()
    with requests.Session() as browser:
        page = browser.get(f"{credentials['url']}/admin/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[1]
        answer = browser.post(
            page.url,
            data={
                "csrfmiddlewaretoken": token,
                "login": credentials["admin_username"],
                "password": credentials["admin_password"],
                "next": "/admin/",
            },
            headers={"Referer": page.url},
        )
    assert answer.url.endswith("/admin/")


def test_a_second_up_on_the_same_folder_says_so_in_one_line(running):
    second = subprocess.run(
        [sys.executable, "manage.py", "up", "--port", str(running.port)],
        cwd=ROOT,
        env={**embedded_environment(), "VAR_DIR": str(running.folder)},
        capture_output=True,
        text=True,
    )
    assert "already running" in second.stderr


def test_ctrl_c_ends_everything_and_a_second_start_knows_its_credentials(running):
    credentials = running.credentials()
    assert running.stop() == 0
    assert running.processes() == []
    running.start()
    running.wait_until_ready()
    assert running.credentials() == credentials


def test_when_a_part_dies_the_others_stop_and_the_reason_is_printed(running):
    running.part("uvicorn").kill()
    assert running.process.wait(ENDS_WITHIN_S) != 0
    assert "web ended" in running.says()
    assert running.processes() == []


def test_a_taken_port_is_one_clear_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with installation(tmp_path, taken.getsockname()[1]) as refused:
            assert refused.process.wait(ENDS_WITHIN_S) == 1
            assert refused.says().count("\n") == 1
            assert "taken" in refused.says()
