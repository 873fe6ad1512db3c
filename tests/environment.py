"""Loaded before Django's settings are: gives each test process a folder of its own for all that Flotilla writes."""

import atexit
import os
import shutil
import tempfile

_folder = tempfile.mkdtemp(prefix="flotilla-tests-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)

os.environ["VAR_DIR"] = _folder
os.environ.setdefault("SECRET_KEY", "only for tests")
os.environ.setdefault("ENCRYPTION_KEY", "only for tests")
os.environ.setdefault("ALLOWED_HOSTS", "*")
