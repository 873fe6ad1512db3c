"""What a worker keeps between two starts."""

import os
import stat
import subprocess

import pytest

from workers.credential import Credential, belongs_to, ensure_room, load, save, sole_use
from workers.errors import SettingsInvalid, StateDirInUse, StateUnwritable

KEPT = Credential(server="http://10.0.0.1:8000", worker_id="w", credential="c", gateway_secret="g")


def test_a_credential_is_found_again(tmp_path):
    save(tmp_path, KEPT)
    assert load(tmp_path) == KEPT


def test_only_the_owner_may_read_it(tmp_path):
    save(tmp_path, KEPT)
    assert stat.S_IMODE((tmp_path / "credential.json").stat().st_mode) == 0o600


def test_a_new_machine_has_none(tmp_path):
    assert load(tmp_path) is None


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "credential.json").write_text("{")
    with pytest.raises(SettingsInvalid, match=r"credential\.json"):
        load(tmp_path)


def test_secrets_do_not_show_when_it_is_printed():
    assert "gateway_secret" not in repr(KEPT)


@pytest.mark.parametrize(
    ("server", "same"),
    [("http://10.0.0.1:9000", True), ("https://10.0.0.1", True), ("http://10.0.0.2:8000", False)],
)
def test_a_credential_is_shown_to_its_own_server_only(server, same):
    assert belongs_to(KEPT, server) is same


def test_two_daemons_cannot_be_the_same_worker(tmp_path):
    with sole_use(tmp_path), pytest.raises(StateDirInUse), sole_use(tmp_path):
        pass


def test_a_folder_that_was_let_go_may_be_used_again(tmp_path):
    with sole_use(tmp_path):
        pass
    with sole_use(tmp_path):
        assert tmp_path.is_dir()


@pytest.fixture
def full_folder(tmp_path):
    """A folder on a disk without room; needs root."""
    if os.geteuid():
        pytest.skip("only root may mount")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk_is_told_before_a_credential_is_asked_for(full_folder):
    with pytest.raises(StateUnwritable, match="No space left"):
        ensure_room(full_folder)


def test_a_full_disk_does_not_cost_the_credential_that_was_kept(full_folder):
    save(full_folder, KEPT)
    (full_folder / "filling").write_bytes(bytes(4096))
    with pytest.raises(StateUnwritable, match="No space left"):
        save(full_folder, KEPT)
    assert load(full_folder) == KEPT
