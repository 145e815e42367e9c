# Everything here sets itself up: Python (>= 3.10), make and git are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_E2E := $(VENV)/.ready-e2e
READY_RELEASE := $(VENV)/.ready-release
# Another environment, with the oldest Airflow that is supported, as it was installed in those days.
OLDEST := .venv-oldest
OLDEST_AIRFLOW := 3.1.8
OLDEST_DAY := 2026-03-20
READY_OLDEST := $(OLDEST)/.ready
# The oldest DuckDB that is supported; constraints.txt has the newest.
OLDEST_DUCKDB := 1.5.4
DUCKDB := $(VENV)/duckdb-$(OLDEST_DUCKDB)
READY_DUCKDB := $(DUCKDB)/.ready
# Arguments for the command behind a target, e.g. make test ARGS="-k canary -x"
ARGS ?=

.PHONY: help demo ui test proofs e2e e2e-oldest soak calibrate pictures check check-workflows release \
	clean constraints \
	constraints-oldest
.DEFAULT_GOAL := help

help:
	@echo "make demo         a good model rolled out, a bad one rolled back, a wrong one stopped, by a real Airflow; no AWS"
	@echo "make ui           the same, then stays up so that you can look at the runs in the Airflow UI"
	@echo "make test         all tests but those of make proofs and make e2e"
	@echo "make proofs       what goes through all cases: a crash at every call and a retry, flags by outcomes by modes"
	@echo "make e2e          the demo, four nights from an empty account on, kills of a real Airflow on PostgreSQL, the page"
	@echo "                  in its UI (Debian's PostgreSQL and Chromium, installed if you are root)"
	@echo "make e2e-oldest   the same kills and the page on Airflow $(OLDEST_AIRFLOW), in an environment of its own"
	@echo "make soak         10,000 random schedules of a rollout, and 2,000 random orders of rollouts, rollbacks and"
	@echo "                  clean-ups (SCHEDULES=1000 ORDERS=500 for fewer, SEED=7 for others)"
	@echo "make calibrate    how often the judge errs, and how soon it finds harm; writes the table of docs/judge.md"
	@echo "make check        lint, format, types and import contracts"
	@echo "make release      build the package, check it, and install it in a fresh environment; publishes nothing"
	@echo "make pictures     the pictures of the docs, from a running demo; ten minutes"
	@echo "make clean        remove everything that these made"
	@echo "make constraints  bring constraints.txt in line with pyproject.toml"

demo: $(READY)
	@$(BIN)/python -m airflow_guardrails.demo $(ARGS)

ui: $(READY)
	@$(BIN)/python -m airflow_guardrails.demo --ui $(ARGS)

test: $(READY)
	@$(BIN)/python -m pytest -n 3 --dist worksteal -m "not e2e and not proof" $(ARGS)

proofs: $(READY) $(READY_DUCKDB)
	@$(BIN)/python -m pytest -n 2 -m proof $(ARGS)
	@echo "The comparison of predictions with DuckDB $(OLDEST_DUCKDB):"
	@PYTHONPATH=$(DUCKDB) $(BIN)/python -m pytest -n 2 tests/unit/captured

e2e: $(READY_E2E)
	@.ci/install-postgresql || true
	@.ci/install-chromium || true
	@$(BIN)/python -m pytest -m e2e tests/e2e $(ARGS)

e2e-oldest: $(READY_OLDEST)
	@.ci/install-postgresql || true
	@.ci/install-chromium || true
	@$(OLDEST)/bin/python -m pytest -m e2e tests/e2e/outcomes tests/e2e/ui tests/e2e/kills/test_kills.py \
		tests/e2e/kills/test_marked_failed.py $(ARGS)

soak: SCHEDULES ?= 10000
soak: ORDERS ?= 2000
soak: SEED ?= $(shell date +%s)
soak: $(READY)
	@SCHEDULES=$(SCHEDULES) ORDERS=$(ORDERS) SEED=$(SEED) FULL_MATRIX=1 $(BIN)/python -m pytest -n 2 -q -rP \
		tests/proofs/schedules/test_schedules.py tests/proofs/test_version_orders.py \
		tests/proofs/test_matrix.py tests/proofs/test_from_model_crashes.py $(ARGS)

calibrate: $(READY)
	@$(BIN)/python benchmarks/calibrate.py --write $(ARGS)

pictures: $(READY_E2E)
	@.ci/install-chromium || true
	@$(BIN)/python -m docs.pictures $(ARGS)

check: $(READY) check-workflows
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

check-workflows: $(READY_RELEASE)
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(BIN)/zizmor --quiet --offline --config .github/zizmor.yml .github

release: $(READY_RELEASE)
	@rm -rf dist
	@$(BIN)/uv build --quiet --build-constraints constraints.txt --out-dir dist .
	@.ci/check-release $(BIN) dist

# uv is only quicker: where it cannot be had or does not get through, pip does the same.
INSTALL = VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet -c constraints.txt -b constraints.txt $(1) \
	|| PIP_BUILD_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet -c constraints.txt $(1)
INSTALL_OLDEST = VIRTUAL_ENV=$(OLDEST) $(BIN)/uv pip install --quiet -c constraints-oldest.txt \
		-b constraints-oldest.txt $(1) \
	|| PIP_BUILD_CONSTRAINT=constraints-oldest.txt $(OLDEST)/bin/python -m pip install --quiet \
		-c constraints-oldest.txt $(1)

$(READY): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (once) ..."
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed (got %d.%d); say which: make PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 10) else 0)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt pip
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt uv || true
	@$(call INSTALL,-e '.[simulator]' --group dev)
	@touch $@

$(READY_E2E): $(READY)
	@$(call INSTALL,--group e2e)
	@touch $@

$(READY_RELEASE): $(READY)
	@$(call INSTALL,--group release)
	@touch $@

$(READY_DUCKDB): $(READY)
	@$(BIN)/python -m pip install --quiet --no-deps --target $(DUCKDB) duckdb==$(OLDEST_DUCKDB)
	@touch $@

$(READY_OLDEST): $(READY) constraints-oldest.txt
	@echo "Setting up $(OLDEST) with Airflow $(OLDEST_AIRFLOW) (once) ..."
	@$(PYTHON) -m venv $(OLDEST)
	@$(call INSTALL_OLDEST,-e '.[simulator]' --group dev --group e2e)
	@touch $@

constraints: $(READY)
	@printf 'hatchling\nhatch-fancy-pypi-readme\npip\nuv\n' | $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-header --no-annotate \
		--extra simulator --group dev --group e2e --group release pyproject.toml - --output-file constraints.txt

# The simulator's moto and the oldest DuckDB are newer than that day.
constraints-oldest: $(READY)
	@printf 'apache-airflow==$(OLDEST_AIRFLOW)\nhatchling\nhatch-fancy-pypi-readme\npip\n' | $(BIN)/uv pip compile --quiet --universal \
		--python-version 3.10 --no-header --no-annotate --exclude-newer $(OLDEST_DAY) \
		--exclude-newer-package moto=2026-11-30 --exclude-newer-package duckdb=2026-11-30 --extra simulator --group dev --group e2e pyproject.toml - \
		--output-file constraints-oldest.txt

clean:
	rm -rf $(VENV) $(OLDEST) .demo dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
