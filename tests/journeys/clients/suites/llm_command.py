# /// script
# requires-python = ">=3.11"
# dependencies = ["llm==0.36", "pytest==9.1.1"]
# ///
"""The `llm` command, told of the server in its file of extra models."""

import json
import subprocess
import sys

from suite import API_KEY, BASE_URL, MODEL, run


def test_the_command_answers(tmp_path):
    known = {"model_id": "ours", "model_name": MODEL, "api_base": BASE_URL, "api_key_name": "ours"}
    # JSON is YAML too.
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([known]))
    (tmp_path / "keys.json").write_text(json.dumps({"ours": API_KEY}))
    command = [sys.executable, "-m", "llm", "-m", "ours", "Hello!"]
    done = subprocess.run(command, env={"LLM_USER_PATH": str(tmp_path)}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


if __name__ == "__main__":
    raise SystemExit(run(__file__))
