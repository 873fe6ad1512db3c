"""The shape that the house keeps: layers, sizes, names."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("protocol", "audit", "fleet", "gateway", "chat", "accounts", "workers", "config")
SOURCES = [
    path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")) if "migrations" not in path.parts
]
NAMES_THAT_SAY_NOTHING = {"utils", "helpers", "services", "common", "misc", "signals"}


def functions_of(path: Path) -> list[int]:
    """Lines of each function in the file."""
    tree = ast.parse(path.read_text())
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [(node.end_lineno or node.lineno) - node.lineno + 1 for node in nodes]


def test_imports_go_one_way():
    lint = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert lint.returncode == 0, lint.stdout


@pytest.mark.parametrize("module", ["workers.daemon", "workers.__main__", "config.asgi"])
def test_torch_is_loaded_by_engine_processes_only(module):
    script = f"import sys, {module}; print(*({{'torch', 'transformers'}} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_the_worker_daemon_needs_no_django():
    script = "import sys, workers.daemon; print('django' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "False"


def test_files_stay_small_enough_to_read():
    assert [str(path) for path in SOURCES if path.read_text().count("\n") > 400] == []


def test_functions_stay_small_enough_to_read():
    assert statistics.median(lines for path in SOURCES for lines in functions_of(path)) <= 9


def test_every_file_is_named_for_what_it_does():
    assert [str(path) for path in SOURCES if path.stem in NAMES_THAT_SAY_NOTHING] == []
