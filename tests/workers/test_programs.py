"""A worker tells which engines it can run, and finds them where its operator put them."""

import stat
from pathlib import Path

import pytest

from workers.programs import Programs


@pytest.fixture
def env(tmp_path: Path) -> Path:
    """A virtual environment in which vLLM is installed, as far as one can see from outside."""
    folder = tmp_path / "lib" / "python3.12" / "site-packages" / "vllm-0.11.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.11.0\n")
    return tmp_path


def test_what_is_installed_with_the_daemon_is_told_with_its_version():
    assert Programs().engines()["transformers"].startswith("5.")


def test_an_engine_in_an_environment_of_its_own_is_found_there(env):
    found = Programs(envs=[env]).find("vllm")
    assert found is not None
    assert found.arguments == (str(env / "bin" / "python"), "-m", "vllm.entrypoints.openai.api_server")
    assert Programs(envs=[env]).engines()["vllm"] == "0.11.0"


def test_what_is_not_installed_is_not_told():
    assert "sglang" not in Programs().engines()


def test_commands_are_told_only_where_the_operator_allows_them():
    assert "command" not in Programs().engines()
    assert "command" in Programs(may_run_code=True).engines()


def test_llama_server_on_the_path_is_found(tmp_path, monkeypatch):
    program = tmp_path / "llama-server"
    program.touch()
    program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Programs().find("llama.cpp").arguments == (str(program),)


def test_an_engine_installed_while_the_daemon_runs_is_found(env):
    programs = Programs(envs=[env])
    assert "sglang" not in programs.engines()
    folder = env / "lib" / "python3.12" / "site-packages" / "sglang-0.5.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: sglang\nVersion: 0.5.2\n")
    assert programs.engines()["sglang"] == "0.5.2"
