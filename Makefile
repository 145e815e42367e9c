# Everything here sets itself up: Python (>= 3.10), make and git are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_E2E := $(VENV)/.ready-e2e
READY_RELEASE := $(VENV)/.ready-release
READY_DOCS := $(VENV)/.ready-docs
# Another environment, with the oldest Airflow that is supported, as it was installed in those days.
OLDEST := .venv-oldest
OLDEST_AIRFLOW := 3.1.8
READY_OLDEST := $(OLDEST)/.ready
# The oldest DuckDB that is supported; constraints.txt has the newest.
OLDEST_DUCKDB := 1.5.4
DUCKDB := $(VENV)/duckdb-$(OLDEST_DUCKDB)
READY_DUCKDB := $(DUCKDB)/.ready
# Arguments for the command behind a target, e.g. make test ARGS="-k canary -x"
ARGS ?=

.PHONY: help demo ui test proofs e2e e2e-oldest soak calibrate pictures docs check check-workflows release \
	versions versions-part clean constraints constraints-older
.DEFAULT_GOAL := help

help:
	@echo "make demo         a good model rolled out, a bad one rolled back, a wrong one stopped, by a real Airflow; no AWS"
	@echo "make ui           the same, then stays up so that you can look at the runs in the Airflow UI"
	@echo "make test         all tests but those of make proofs and make e2e"
	@echo "make proofs       what goes through all cases: a crash at every call and a retry, flags by outcomes by modes"
	@echo "make e2e          the demo, four nights from an empty account on, kills of a real Airflow on PostgreSQL, the page"
	@echo "                  in its UI (Debian's PostgreSQL and Chromium, installed if you are root)"
	@echo "make e2e-oldest   the same kills and the page on Airflow $(OLDEST_AIRFLOW), in an environment of its own"
	@echo "make versions     the tests on each supported Airflow and Python, each in an environment of its own; an hour"
	@echo "                  (ARGS=airflow-3.1.8 for one; make versions-part: a part of them on Airflow $(OLDEST_AIRFLOW))"
	@echo "make soak         10,000 random schedules of a rollout, and 2,000 random orders of rollouts, rollbacks and"
	@echo "                  clean-ups (SCHEDULES=1000 ORDERS=500 for fewer, SEED=7 for others)"
	@echo "make calibrate    how often the judge errs, and how soon it finds harm; writes the table of docs/judge.md"
	@echo "make check        lint, format, types and import contracts"
	@echo "make docs         the site of the documentation, in docs/_build/html; links and headings are checked"
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

check: $(READY) check-workflows docs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: $(READY_DOCS)
	@$(BIN)/sphinx-build --builder html --fail-on-warning --keep-going --quiet docs docs/_build/html

versions: $(READY)
	@.ci/versions $(ARGS)

versions-part: $(READY)
	@.ci/versions airflow-3.1.8-part

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
INSTALL_OLDEST = VIRTUAL_ENV=$(OLDEST) $(BIN)/uv pip install --quiet -c constraints/airflow-$(OLDEST_AIRFLOW).txt \
		-b constraints/airflow-$(OLDEST_AIRFLOW).txt $(1) \
	|| PIP_BUILD_CONSTRAINT=constraints/airflow-$(OLDEST_AIRFLOW).txt $(OLDEST)/bin/python -m pip install --quiet \
		-c constraints/airflow-$(OLDEST_AIRFLOW).txt $(1)

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

$(READY_DOCS): $(READY)
	@$(call INSTALL,--group docs)
	@touch $@

$(READY_RELEASE): $(READY)
	@$(call INSTALL,--group release)
	@touch $@

$(READY_DUCKDB): $(READY)
	@$(BIN)/python -m pip install --quiet --no-deps --target $(DUCKDB) duckdb==$(OLDEST_DUCKDB)
	@touch $@

$(READY_OLDEST): $(READY) constraints/airflow-$(OLDEST_AIRFLOW).txt
	@echo "Setting up $(OLDEST) with Airflow $(OLDEST_AIRFLOW) (once) ..."
	@$(PYTHON) -m venv $(OLDEST)
	@$(call INSTALL_OLDEST,-e '.[simulator]' --group dev --group e2e)
	@touch $@

constraints: $(READY)
	@printf 'hatchling\nhatch-fancy-pypi-readme\npip\nuv\n' | $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-header --no-annotate \
		--extra simulator --group dev --group e2e --group release --group docs pyproject.toml - --output-file constraints.txt

# As each Airflow was installed in its days, with its FAB provider. The simulator's moto and the oldest DuckDB are newer.
constraints-older: $(READY)
	@$(call COMPILE_OLDER,3.1.8,2026-03-20,3.10,airflow)
	@$(call COMPILE_OLDER,3.2.2,2026-06-15,3.10,airflow)
	@$(call COMPILE_OLDER,3.2.1,2026-05-15,3.12,mwaa)
	@$(call COMPILE_OLDER,3.3.1,2026-09-20,3.12,mwaa)

COMPILE_OLDER = printf 'apache-airflow==$(1)\napache-airflow-providers-fab\nhatchling\nhatch-fancy-pypi-readme\npip\n' \
	| $(BIN)/uv pip compile --quiet --universal --python-version $(3) --no-header --no-annotate --exclude-newer $(2) \
	--exclude-newer-package moto=2026-11-30 --exclude-newer-package duckdb=2026-11-30 --extra simulator --group dev \
	--group e2e pyproject.toml - --output-file constraints/$(4)-$(1).txt

clean:
	rm -rf docs/_build $(VENV) $(OLDEST) .venv-versions .demo dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
