# `make` alone lists what there is. Only Python 3.11-3.13, make and the package registries are needed.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(not (3,11) <= sys.version_info < (3,14))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
TEST_ARGS ?=
faults test-long: export KILLS ?= 20
# Where an image forbids bytecode, each of the hundreds of starts of a test run would compile every library anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install run down reset test test-long faults check bench schemas services service lock

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.venv/.installed: requirements.lock requirements-bootstrap.lock $(wildcard */*/pyproject.toml */pyproject.toml) install.sh
	@PYTHON="$(PYTHON)" sh install.sh

install: .venv/.installed  ## install the workspace in .venv (done by every other command)

run: .venv/.installed  ## the whole system with its demonstration, until Ctrl-C
	@exec $(BIN)/estuaire up

down: .venv/.installed  ## stop a system that runs in another terminal
	@$(BIN)/estuaire down

reset: .venv/.installed  ## empty the data directory
	@$(BIN)/estuaire reset --yes

# What T=seats names, its plural or not: the service's own tests, and those of the whole system that have its name.
SERVICE_TESTS = $(wildcard services/*$(T:s=)*/tests tests/*/test_*$(T:s=)*.py)

# Everything: two workers, a file at a time, the longest first (decision 0028). Each has a whole system beside it: on one core, one.
SIDE_BY_SIDE = -n $(if $(filter 1,$(shell nproc)),1,2) --dist loadfile --no-loadscope-reorder

test: .venv/.installed  ## the short tiers of every test, real parts included; T=seats for one service's
	@$(BIN)/pytest -m "not long" --durations 10 --hypothesis-seed 0 $(if $(T),$(or $(SERVICE_TESTS),$(error no tests are named $(T))),$(SIDE_BY_SIDE)) $(TEST_ARGS)

test-long: .venv/.installed  ## the rest of the tests: every fault cell with 20 kills, every seeded bug; SEEDS=1,2,3
	@$(BIN)/pytest -m "long or cell" --durations 10 --timeout 3600 $(TEST_ARGS)

faults: .venv/.installed  ## every fault cell and seeded bug, with a table; CELL=08 for one, SEEDS=1,2,3, KILLS=200
	@$(BIN)/pytest tests/faults $(if $(CELL),-k "test_cell and $(CELL)-") $(TEST_ARGS)

check: .venv/.installed  ## ruff, mypy strict, import-linter
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy libs services demonstration tests benchmarks && $(BIN)/lint-imports

bench: .venv/.installed  ## the measured claims, printed
	@for b in benchmarks/bench_*.py; do $(BIN)/python $$b || exit 1; done

schemas: .venv/.installed  ## generate messages.py and the AsyncAPI document from schemas/avro
	@$(BIN)/estuaire schemas generate

services: .venv/.installed  ## generate deployment, lint rules and list from services/services.yaml
	@$(BIN)/estuaire services generate

service: .venv/.installed  ## make an empty service that starts: NAME=dropout-observatory
	@$(BIN)/estuaire services new "$(NAME)"

lock:  ## pin the dependencies again (needs make install once)
	@.uv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q \
	  --group embedded --group build --group analytics --group dev pyproject.toml -o requirements.lock
	@.uv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q \
	  --group build -c requirements.lock pyproject.toml -o deploy/requirements.lock
	@.uv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q \
	  --group build --group analytics -c requirements.lock pyproject.toml -o services/dropout-observatory/requirements.lock
