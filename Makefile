# Everything a fresh machine needs, each target on its own.
PYTHON ?= python3
VENV ?= .venv
# Test processes side by side, each with servers of its own (about 3 GiB); tests wait more than they compute.
JOBS ?= 2
BIN := $(VENV)/bin
# The native extensions as they were built last, and what they are built from.
ENGINE := $(VENV)/.engine-$(or $(TIDEMARK_NATIVE),auto)
CRATES := setup.py $(wildcard $(foreach room,cdc schemas,$(addprefix $(room)/native/,Cargo.toml Cargo.lock src/*.rs src/*/*.rs)))
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup demo test lint soak bench lock clean

setup: $(VENV)/.ready $(ENGINE)

$(VENV)/.ready: pyproject.toml requirements.lock requirements-dev.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	TIDEMARK_NATIVE=off $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# A build that is not required may fail: then there is no extension, rather than an older one.
$(ENGINE): $(VENV)/.ready $(CRATES)
	rm -f $(VENV)/.engine-* cdc/source/_native*.so schemas/_native*.so
	$(BIN)/python setup.py --quiet build_ext --inplace
	touch $@

demo: setup
	$(BIN)/tidemark demo

test: setup lint
	$(BIN)/python -m pytest -m "not soak" -n $(JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

soak: setup
	$(BIN)/python -m pytest -m soak $(PYTEST_ARGS)

bench: setup
	$(BIN)/python -m bench.capture $(BENCH_ARGS)
	$(BIN)/python -m bench.sink $(BENCH_SINK_ARGS)
	$(BIN)/python -m bench.audit $(BENCH_AUDIT_ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	tests/check_crates.sh $(BIN)/python

lock: setup
	$(BIN)/python -m pip install --quiet uv
	for out in requirements:"" requirements-dev:"--extra dev"; do \
	  $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	    --python-version 3.11 $${out#*:} --output-file $${out%%:*}.lock pyproject.toml; done

clean:
	rm -rf $(VENV) build *.egg-info
