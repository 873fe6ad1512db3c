"""One command makes a machine a worker: what the wizard shows, and what the server hands out for it."""

import io
import re
import subprocess
import tarfile

import pytest
from django.test import Client

from fleet.installation import Hardware, install_script, join_command
from protocol.control import INSTALL_PATH, PROGRAM_PATH
from tests.fleet.test_admin_join_tokens import ADD, FORM


def get(path: str, token: str = "", **options):
    return Client().get(path, headers={"Authorization": f"Bearer {token}"} if token else {}, **options)


@pytest.mark.django_db
@pytest.mark.parametrize("path", [INSTALL_PATH, PROGRAM_PATH])
def test_nothing_is_handed_out_to_strangers(path):
    assert get(path).status_code == 401
    assert get(path, "flt-join-nonsense").status_code == 401


def test_a_used_up_token_fetches_nothing_either(issue):
    token, text = issue(max_uses=1)
    token.revoke()
    assert get(PROGRAM_PATH, text).status_code == 401


def test_fetching_takes_no_use_of_the_token(issue):
    token, text = issue(max_uses=1)
    assert [get(path, text).status_code for path in (INSTALL_PATH, PROGRAM_PATH)] == [200, 200]
    token.refresh_from_db()
    assert token.num_uses == 0


def test_the_program_is_the_worker_and_what_it_needs_and_nothing_of_the_server(issue):
    content = get(PROGRAM_PATH, issue()[1]).content
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = archive.getmembers()
    names = [member.name for member in members]
    assert {"workers/daemon.py", "protocol/control.py", "requirements/worker.txt"} <= set(names)
    assert {name.split("/")[0] for name in names} == {"workers", "protocol", "requirements", "LICENSE"}
    assert not [name for name in names if "__pycache__" in name]
    assert {member.uname for member in members} == {""}


@pytest.mark.parametrize("hardware", [*Hardware.values, "nonsense", "$(reboot)"])
@pytest.mark.parametrize("server", ["http://127.0.0.1:8000", "https://fleet.example"])
def test_the_script_is_a_sound_one(hardware, server):
    script = install_script(server, "flt-join-x", hardware)
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    assert ("whl/cpu" in script) is (hardware == Hardware.CPU)
    assert ("--listen 0.0.0.0:8100" in script) is ("fleet.example" in server)
    assert "$(reboot)" not in script


def test_a_server_s_name_cannot_smuggle_a_command_in():
    script = install_script("http://x';touch /tmp/owned;'", "flt-join-x", "cpu")
    assert "server='http://x'\"'\"';touch /tmp/owned;'\"'\"''" in script


def test_the_wizard_shows_the_one_command_for_the_hardware_that_was_chosen(admin_client: Client):
    page = admin_client.post(ADD, FORM | {"hardware": "apple"}).content.decode()
    token = re.search(r"Bearer (flt-join-\w+)", page)[1]
    command = join_command("http://testserver", token, "apple")
    assert command.replace("'", "&#x27;") in page


def test_hardware_that_nobody_knows_is_refused(admin_client: Client):
    page = admin_client.post(ADD, FORM | {"hardware": "abacus"}).content.decode()
    assert "abacus" in page
