# make demo     set up, build the embedded model, serve it, ask it, print the answer, stop
# make engine   build the engine of RECIPE          make serve   serve it
# make clients  run the model card's API examples, tool calls and streams against tiny, with OpenAI's client
# make gpu-table  compile the released models' plans at full width, no GPU, and print the tables of docs/gpu.md
# make bench    measure the CPU runtime beside llama.cpp, which is built first (8 minutes, once)
# make bench-gate  measure two servers of tiny in turn; fails when the second is slower. BASE: another checkout's trtnemo,
#                  SLEEP: seconds that the second pauses before every step, to see it fail: 0.002, say
# make sanitize run the native runtime's tests with the address and undefined-behaviour sanitizers
# make test     run the tests, but for those below  make lint    ruff, mypy, import order
# make test-slow   the tests that are slow for what they prove, and the fuzzing once more with 5,000 examples each
# make test-long   clients, soaks, failure cycles and emulation, which CI does not run
# make test-parsers  hold recipes and recorded options against the wheels of vLLM and SGLang, in .venv-parsers

PYTHON ?= python3
VENV ?= .venv
RECIPE ?= tiny
PAIRS ?= 40
BIN := $(VENV)/bin
SOURCES := $(wildcard native/*.* native/cpu/*.* native/cpu/*/*.* plugins/*/cpu/*.*)
# pytest exits 5, and make fails, when there is no test
TESTS := $(BIN)/python -m pytest -n 2 --dist worksteal
PATIENT := -o faulthandler_timeout=660
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo engine serve clients test test-slow test-long test-parsers lint format measure gpu-table bench bench-gate sanitize clean

demo: $(VENV)/.installed
	PATH="$(abspath $(BIN)):$$PATH" bash scripts/demo.sh

engine: $(VENV)/.installed
	$(BIN)/trtnemo build --recipe $(RECIPE) --force

serve: $(VENV)/.installed
	$(BIN)/trtnemo serve --recipe $(RECIPE)

clients: $(VENV)/.installed-dev
	$(BIN)/python scripts/clients.py

test: $(VENV)/.installed-dev
	$(TESTS)

test-slow: $(VENV)/.installed-dev
	$(TESTS) -m slow --hypothesis-profile slow $(PATIENT)

test-long: $(VENV)/.installed-dev
	$(TESTS) -m long $(PATIENT)

test-parsers: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m wheels $(PATIENT)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

measure: $(VENV)/.installed-dev
	$(BIN)/python scripts/measure.py

gpu-table: $(VENV)/.installed-dev
	$(BIN)/python scripts/gpu_table.py

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.run $(BENCH)

bench-gate: $(VENV)/.installed .venv-bench/.installed
	TRTNEMO_BENCH_PYTHON=$(abspath .venv-bench/bin/python) $(BIN)/trtnemo bench gate tiny \
	    --gate-file benchmarks/gate.yaml --concurrency 4 --requests 48 --warmup 0 --pairs $(PAIRS) $(GATE) \
	    $(if $(BASE),--base-program "$(BASE)") \
	    $(if $(SLEEP),--program "$(abspath $(BIN)/python) $(abspath scripts/slow_server.py) $(SLEEP)")

# the load generator and what it needs, torch among it, apart from everything else
.venv-bench/.installed: constraints.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt guidellm
	touch $@

sanitize: $(VENV)/.installed-dev
	bash scripts/sanitize.sh $(abspath $(BIN))

clean:
	rm -rf $(VENV) .venv-parsers .venv-bench build engines

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml CMakeLists.txt constraints.txt $(SOURCES)
	$(PIP) -e .
	touch $@

# not after .installed, or everything would be compiled twice
$(VENV)/.installed-dev: $(VENV)/bin/python pyproject.toml CMakeLists.txt constraints.txt $(SOURCES)
	$(PIP) -e '.[torch,tensorrt,modelopt,eval,train,bench,dev]'
	touch $(VENV)/.installed $@
