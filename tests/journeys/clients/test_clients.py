"""The client libraries that people write programs with, unchanged, against a whole Flotilla.

Each for Python has an environment of its own, since no two agree on the versions of the rest; uv makes it. Those for
Node share one, made by npm.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workers.demo_model import WEIGHTS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

SUITES, NODE = Path(__file__).parent / "suites", Path(__file__).parent / "node"
# Node itself comes with the requirements, as uv does.
BIN = Path(sys.executable).parent
PYTHON_SUITES = {
    suite.stem: [BIN / "uv", "run", "--quiet", "--script", suite]
    for suite in sorted(SUITES.glob("*.py"))
    if suite.stem != "suite"
}
NODE_SUITES = {suite.name: [BIN / "node", "--test", suite.name] for suite in sorted(NODE.glob("*.test.js"))}
LONGEST_S = 900
LONGEST_TAIL = 8_000


@pytest.fixture
def installation(web, start_worker, deploy, wait_ready, key) -> dict[str, str]:
    """The environment in which a suite finds a Flotilla with the demo model, and an engine that embeds."""
    start_worker()
    deployments = [deploy("echo"), deploy("flotilla-demo", engine="transformers", source=str(WEIGHTS))]
    for deployment in deployments:
        wait_ready(deployment)
    names = {"MODEL": "flotilla-demo", "EMBEDDING_MODEL": "echo"}
    return {"OPENAI_BASE_URL": f"{web.url}/v1", "OPENAI_API_KEY": key, **names}


def test_every_suite_passes(installation, node_folder):
    outcomes = {
        name: subprocess.run(
            command, cwd=node_folder, env=os.environ | installation, capture_output=True, text=True, timeout=LONGEST_S
        )
        for name, command in (PYTHON_SUITES | NODE_SUITES).items()
    }
    assert {name: outcome.stdout[-LONGEST_TAIL:] for name, outcome in outcomes.items() if outcome.returncode} == {}
    assert len(outcomes) == 10


@pytest.fixture
def node_folder(tmp_path) -> Path:
    """A copy of the programs for Node, with their packages: nothing is written into the checkout."""
    folder = tmp_path / "node"
    shutil.copytree(NODE, folder)
    subprocess.run([BIN / "npm", "install", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=LONGEST_S)
    return folder
