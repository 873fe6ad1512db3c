"""What every suite needs: where the server is, and a way to run itself.

Each file beside this one is a program for one client library, with the library's pinned version in its head. It is run
against a live Flotilla by the test, and by hand against any server that speaks OpenAI's dialect:

    export OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=sk-... MODEL=flotilla-demo
    uv run tests/journeys/clients/suites/llm_command.py
"""

import os

import pytest

BASE_URL = os.environ["OPENAI_BASE_URL"]
API_KEY = os.environ["OPENAI_API_KEY"]
MODEL = os.environ["MODEL"]
EMBEDDING_MODEL = os.environ.get("EMBEDDING_MODEL", MODEL)


def run(file: str, *options: str) -> int:
    """pytest on that file alone, without the settings of the project around it. The exit status."""
    alone = ["--noconftest", "--import-mode=importlib", "-p", "no:cacheprovider", "-c", os.devnull, "-W", "ignore"]
    return pytest.main([file, "-q", *alone, *options])
