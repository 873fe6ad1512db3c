"""The versions that both sides tell each other."""

import tomllib
from pathlib import Path

from protocol.version import OLDEST_ACCEPTED_VERSION, PROTOCOL_VERSION, SOFTWARE_VERSION, is_supported

PYPROJECT = Path(__file__).parent.parent.parent / "pyproject.toml"


def test_the_software_has_one_version():
    assert tomllib.loads(PYPROJECT.read_text())["project"]["version"] == SOFTWARE_VERSION


def test_a_newer_worker_is_not_understood():
    assert not is_supported(PROTOCOL_VERSION + 1)


def test_a_worker_of_this_release_is_understood():
    assert is_supported(PROTOCOL_VERSION)
    assert is_supported(OLDEST_ACCEPTED_VERSION)
