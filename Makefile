# What `make` alone prints; each target's line stands behind its name.
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
RECIPE ?= tiny
PAIRS ?= 40
BIN := $(VENV)/bin
SOURCES := $(wildcard native/*.* native/weights/*.* native/cpu/*.* native/cpu/*/*.* plugins/*/cpu/*.*)
# pytest exits 5, and make fails, when there is no test
TESTS := $(BIN)/python -m pytest -n 2 --dist worksteal
PATIENT := -o faulthandler_timeout=660
# an installation whose compilation fails goes on without native code; `pip install -v .` shows why
TELL_NATIVE = cd / && $(abspath $(BIN))/python -c 'import trtnemo._native' 2>/dev/null || echo "No native code was compiled: the CPU runtime will be torch's, far slower" >&2
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo engine serve clients pages sizes test test-slow test-long test-optimized test-parsers test-arm test-dynamo image lint format measure gpu-table cubins bench bench-gate sanitize clean

help:  ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed  ## set up, build the embedded model, serve it, ask it, print the answer, stop
	PATH="$(abspath $(BIN)):$$PATH" bash scripts/demo.sh

engine: $(VENV)/.installed  ## build the engine of RECIPE (default: tiny)
	$(BIN)/trtnemo build --recipe $(RECIPE) --force

serve: $(VENV)/.installed  ## serve the engine of RECIPE
	$(BIN)/trtnemo serve --recipe $(RECIPE)

clients: $(VENV)/.installed-dev  ## run the model card's API examples and other clients against tiny: openai, anthropic, pydantic-ai, npm's ai
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pydantic-ai-slim[openai]>=1'
	$(BIN)/python -m scripts.clients

test: $(VENV)/.installed-dev  ## run the tests, except those below
	$(TESTS)

test-slow: $(VENV)/.installed-dev  ## run the tests that are slow for what they prove, and the fuzzing with 5,000 examples each
	$(TESTS) -m slow --hypothesis-profile slow $(PATIENT)

test-long: $(VENV)/.installed-dev  ## run clients, soaks, failure cycles and emulation, which CI does not run
	$(TESTS) -m long $(PATIENT)

test-optimized: $(VENV)/.installed-dev  ## run the tests under `python -O`, where package code has no asserts to lean on
	PYTHONOPTIMIZE=1 $(TESTS) -W ignore::pytest.PytestConfigWarning

test-parsers: $(VENV)/.installed-dev  ## compare recipes and recorded options with the wheels of vLLM and SGLang, in .venv-parsers
	$(BIN)/python -m pytest -m wheels $(PATIENT)

test-arm: $(VENV)/.installed-dev  ## build the native kernels for Arm, run them emulated, and compare every bit (Debian, qemu-user)
	$(BIN)/python -m scripts.arm.emulate

image:  ## build the CPU image by buildah on a base of Debian's packages, and let it answer (root; buildah, debootstrap)
	bash scripts/image.sh

test-dynamo: $(VENV)/.installed-dev .venv-dynamo/.installed  ## put the frontend and the mock engines of NVIDIA Dynamo behind a gateway, as our manifest starts them
	$(BIN)/python -m pytest -m dynamo $(PATIENT)

# the frontend and the mock engine need these alone; the worker's own requirements are gigabytes of CUDA
.venv-dynamo/.installed:
	$(PYTHON) -m venv .venv-dynamo
	.venv-dynamo/bin/python -m pip install --quiet --disable-pip-version-check --no-deps ai-dynamo==1.6.1 ai-dynamo-runtime==1.6.1
	.venv-dynamo/bin/python -m pip install --quiet --disable-pip-version-check msgspec packaging 'pydantic<2.14' pyyaml uvloop
	touch $@

lint: $(VENV)/.installed-dev  ## run ruff, mypy, the import order and the size budgets
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy examples/weights.py
	$(BIN)/lint-imports
	$(BIN)/python -m scripts.house.sizes

pages: $(VENV)/.installed-dev  ## write docs/reference.md and the module list of docs/structure.md from docstrings
	$(BIN)/python -m scripts.house.pages

sizes: $(VENV)/.installed-dev  ## print the code lines of each package beside its budget
	$(BIN)/python -m scripts.house.sizes

format: $(VENV)/.installed-dev  ## format the sources
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

measure: $(VENV)/.installed-dev  ## print the numbers of docs/measurements.md
	$(BIN)/python scripts/measure.py

gpu-table: $(VENV)/.installed-dev  ## compile the released models' plans at full width, without a GPU, and print the tables of docs/gpu.md
	$(BIN)/python scripts/gpu_table.py

cubins: $(VENV)/.installed-dev  ## compile all CUDA kernels of the released models for all targets, without a GPU, and print the tables of docs/cuda.md
	$(BIN)/python -m scripts.cubins

bench: $(VENV)/.installed-dev  ## measure the CPU runtime beside llama.cpp, which is built first (8 minutes, once)
	$(BIN)/python -m benchmarks.run $(BENCH)

bench-gate: $(VENV)/.installed .venv-bench/.installed  ## measure two servers of tiny in turn; fail when the second is slower (BASE: another checkout's trtnemo; SLEEP: seconds that the second pauses before every step)
	TRTNEMO_BENCH_PYTHON=$(abspath .venv-bench/bin/python) $(BIN)/trtnemo bench gate tiny \
	    --gate-file benchmarks/gate.yaml --concurrency 4 --requests 48 --warmup 0 --pairs $(PAIRS) $(GATE) \
	    $(if $(BASE),--base-program "$(BASE)") \
	    $(if $(SLEEP),--program "$(abspath $(BIN)/python) $(abspath scripts/slow_server.py) $(SLEEP)")

# the load generator and what it needs, torch among it, apart from everything else
.venv-bench/.installed: constraints.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt guidellm
	touch $@

sanitize: $(VENV)/.installed-dev  ## run the native runtime's tests with the address and undefined-behaviour sanitizers
	bash scripts/sanitize.sh $(abspath $(BIN))

clean:  ## remove environments, builds and engines
	rm -rf $(VENV) .venv-parsers .venv-bench .venv-dynamo build engines

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml CMakeLists.txt constraints.txt $(SOURCES)
	$(PIP) -e .
	@$(TELL_NATIVE)
	touch $@

# not after .installed, or everything would be compiled twice
$(VENV)/.installed-dev: $(VENV)/bin/python pyproject.toml CMakeLists.txt constraints.txt $(SOURCES)
	$(PIP) -e '.[torch,tensorrt,cuda,modelopt,eval,train,bench,dev]'
	@$(TELL_NATIVE)
	touch $(VENV)/.installed $@
