PYTHON ?= python3
PORT ?=
STRIPE_PORT ?=
TESTS ?=
QUICK ?=
ONLY ?=
SIZES ?=
SAVE ?=
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes

# Installation compiles nothing (below), so Python has to keep what it compiles when a module is first imported.
unexport PYTHONDONTWRITEBYTECODE

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*##/ {printf "make %-13s %s\n", $$1, $$2}' Makefile

run: .venv/ready  ## the application with sample data, at http://127.0.0.1:8000/ (elsewhere: PORT=8001 STRIPE_PORT=12112)
	@env DEBUG=True .venv/bin/python manage.py demo $(if $(PORT),--port $(PORT)) $(if $(STRIPE_PORT),--stripe-port $(STRIPE_PORT))

test: .venv/ready  ## the tests, against a PostgreSQL and a Redis of their own (some: make test TESTS=apps.vouchers)
	.venv/bin/python manage.py test --parallel 3 $(TESTS)

# Their packages are pinned with hashes (package-lock.json), and run nothing while they are installed.
clients: .venv/ready  ## clients that generators make of the OpenAPI document, on a journey (needs node 20 and npm)
	npm ci --prefix tests/clients --ignore-scripts --no-audit --no-fund --prefer-offline
	CLIENTS=tests/clients .venv/bin/python manage.py test tests.test_generated_clients

coverage: .venv/ready  ## the tests, and which lines they reach
	.venv/bin/coverage erase
	.venv/bin/coverage run manage.py test $(TESTS)
	.venv/bin/coverage combine --quiet
	.venv/bin/coverage report

lint: .venv/ready  ## style, format, and who may import whom
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/lint-imports

format: .venv/ready  ## the code as `make lint` wants it
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

types: .venv/ready  ## types
	DEBUG=True .venv/bin/mypy

ci:  ## everything that must hold, as on a fresh machine
	.ci/run

# SAVE=1 makes the run the baseline that later ones are held against.
bench: .venv/ready  ## the product beside a textbook twin: QUICK=1 (five minutes), ONLY=redeem,types, SIZES=10000,1000000
	.venv/bin/python -m bench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY)) $(if $(SIZES),--sizes $(SIZES)) $(if $(SAVE),--save-baseline)

image: .venv/ready  ## the container image, built and tried (needs root, buildah, crun, debootstrap, PostgreSQL and Redis)
	deploy/image_drill.sh

pictures: .venv/ready  ## the pictures of README.md and docs/staff.md anew, by Chromium and chromedriver
	.venv/bin/python -m tests.browser.pictures

requirements: .venv/ready  ## the pinned requirements anew, from requirements.in and requirements-dev.in
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes requirements.in --output-file requirements.txt
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes requirements-dev.in --output-file requirements-dev.txt

# An older .venv is kept and brought up to date, unless it is broken or of an older Python, or its last installation was
# interrupted (.venv/installing is still there): then nobody knows what it has, and it is made anew.
# uv takes a fifth of pip's time and, pinned with the others, comes by pip itself; where it can't install, pip does.
# Both check every hash, and neither compiles: Python does that to the modules that are imported, far fewer than all.
.venv/ready: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	@{ test ! -e .venv/installing && .venv/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))'; } 2>/dev/null \
		|| { echo "Making .venv ..." && $(PYTHON) -m venv --clear .venv; }
	@echo "Installing requirements-dev.txt into .venv (up to a minute or two when it is new) ..."
	@touch .venv/installing
	@awk '/^uv==/ {pin = 1} pin; pin && !/\\$$/ {exit}' requirements-dev.txt >.venv/uv.txt
	$(PIP) --requirement .venv/uv.txt \
		&& .venv/bin/uv pip install --quiet --python .venv --require-hashes --requirement requirements-dev.txt \
		|| $(PIP) --requirement requirements-dev.txt
	@rm -f .venv/installing
	@touch $@

.PHONY: help run test coverage lint format types ci clients bench image pictures requirements
