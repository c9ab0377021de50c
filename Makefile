# The only commands; .ci/run calls the same. Everything is built into .venv, which may be deleted at any time.

PYTHON ?= python3
# rustup's cargo goes before an older one of the distribution.
export PATH := $(HOME)/.cargo/bin:$(PATH)
export CARGO_TARGET_DIR ?= $(CURDIR)/.venv/cargo
# maturin must take our .venv, not one that happens to be active.
export VIRTUAL_ENV := $(CURDIR)/.venv
unexport CONDA_PREFIX PYTHONHOME PYTHONPATH

BIN := .venv/bin
RUST := $(shell find rust -type f \( -name '*.rs' -o -name Cargo.toml \)) Cargo.toml

.PHONY: help demo test test-long check format bench docs build interop interop-rust tools node clean
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

demo: build  ## three hours of air traffic as live twins (sets up everything first)
	@$(BIN)/python examples/airspace/demo.py $(ARGS)

test: build node interop  ## all tests but the long ones (sets up everything first)
	cargo test --quiet --package shoal-core
	$(BIN)/python -m pytest $(ARGS)

test-long: build node interop interop-rust  ## the long tests (readers are fuzzed for SHOAL_FUZZ_SECONDS each, 600)
	SHOAL_FUZZ_SECONDS=$${SHOAL_FUZZ_SECONDS:-600} cargo test --quiet --package shoal-core --lib -- --ignored fuzz_
	cargo test --quiet --package shoal-core --lib -- --ignored long_
	$(BIN)/python -m pytest -m long -o faulthandler_timeout=0 $(ARGS)

check: build  ## format, lint, types, the boundary's stub, Rust and Python tests
	cargo fmt --all --check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/stubtest shoal._core --mypy-config-file pyproject.toml
	cargo clippy --quiet --workspace --all-targets -- --deny warnings
	@$(MAKE) --no-print-directory test

format: .venv/.tools  ## rewrites the sources in the house format
	cargo fmt --all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: build  ## the benchmarks of docs/benchmarks.md (some minutes; ARGS=NAME runs one)
	@$(BIN)/python bench/run.py $(ARGS)

docs: build  ## checks that the pages' code runs and that the files they name exist
	$(BIN)/python -m pytest tests/unit/test_docs.py $(ARGS)

build: .venv/.built  ## the package, importable in .venv

interop: .venv/interop/.clients  ## Swim's JavaScript and Python clients, which the tests run against Shoal

interop-rust: tools  ## Swim's client and server for Rust, which the long tests run (some minutes the first time)
	@echo "make: building Swim's client and server for Rust"
	@CARGO_TARGET_DIR=$(CURDIR)/.venv/interop/rust cargo build --quiet --manifest-path tests/interop/rust/Cargo.toml

clean:  ## deletes all that was built
	rm -rf .venv build target

# -- how it is built. A stamp is written when its step has succeeded, so a run that was cut off starts over there.

tools:
	@command -v $(PYTHON) > /dev/null || { echo "make: Python >= 3.11 is missing: apt install python3 python3-venv, or make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $$($(PYTHON) --version) is too old, Shoal needs >= 3.11: install a newer one and call make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2> /dev/null || { echo "make: Python's venv module is missing: apt install python3-venv" >&2; exit 1; }
	@command -v cargo > /dev/null || { echo "make: cargo is missing: Rust >= 1.89 comes with https://rustup.rs" >&2; exit 1; }
	@rustc --version | awk '{split($$2, v, "."); exit !(v[1] > 1 || v[2] >= 89)}' || { echo "make: $$(rustc --version) is too old, Shoal needs >= 1.89: rustup update stable" >&2; exit 1; }
	@command -v cc > /dev/null || { echo "make: a C compiler is missing: apt install gcc libc6-dev" >&2; exit 1; }

# Only for the tests: Pyright checks the types that users see, and Swim's client for JavaScript runs in it.
node:
	@command -v npm > /dev/null || { echo "make: npm is missing: it comes with Node >= 20, https://nodejs.org, or apt install nodejs npm" >&2; exit 1; }

.venv/.tools: pyproject.toml | tools
	@echo "make: setting up .venv"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"  # knows dependency groups
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"], sep="\n")' > .venv/tools.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement .venv/tools.txt
	@touch $@

.venv/.built: .venv/.tools $(RUST) | tools
	@echo "make: building the core (some minutes the first time)"
	@PIP_QUIET=1 PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/maturin develop --release --quiet
	@touch $@

# Each client in a folder of its own: Swim's for Python must not meet the packages of the tools.
INTEROP := tests/interop/js/package.json tests/interop/js/args/package.json tests/interop/py/requirements.txt
.venv/interop/.clients: $(INTEROP) .venv/.tools | node
	@echo "make: installing Swim's clients for JavaScript and Python"
	@mkdir -p .venv/interop/js
	@cp -r tests/interop/js/args tests/interop/js/package.json .venv/interop/js
	@cd .venv/interop/js && npm install --no-package-lock --no-audit --no-fund --loglevel=error > /dev/null
	@$(PYTHON) -m venv .venv/interop/py
	@.venv/interop/py/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/interop/py/requirements.txt
	@touch $@
