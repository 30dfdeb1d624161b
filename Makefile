# All tasks of this project. `make` alone lists them.
SHELL := /bin/bash
CONFIG := sidecar/pyproject.toml
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest --config-file $(CONFIG) --rootdir .
# More processes than processors, because many tests wait. What takes long comes first, so that short tests fill the gaps at the end.
SIDE_BY_SIDE := $(PYTEST) -n 5 --dist loadgroup --no-loadscope-reorder
# Compiled once, by whichever process comes first, and not beside the sources.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.venv/pycache
unexport PYTHONDONTWRITEBYTECODE # else each process of the tests compiles all of them again

# Unit tests make thousands of small directories: in memory, where the system has such a file system.
IN_MEMORY := $(if $(wildcard /dev/shm/.),TMPDIR=/dev/shm)

.PHONY: help install demo screenshots test soak test-unit test-integration test-alerts test-cluster test-pulsar test-disaster bench lint format docs mutants protos lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

install: .venv/installed ## Make .venv/ with metadata-tool in it

.venv/installed: sidecar/requirements-dev.lock $(CONFIG) ci/install
	@ci/install

demo: install ## Back up a real ZooKeeper to an embedded S3, and start a new one from the backup
	@PYTHONPATH=tests $(BIN)/python -m ci.demo

screenshots: install ## Pictures of the status page in .venv/screenshots, by a headless Chromium (Debian's chromium-headless-shell)
	@PYTHONPATH=tests $(BIN)/python -m ci.screenshots $(STATE)

test: install ## Unit, chart and integration tests, on real ZooKeepers and a real S3 server
	@$(BIN)/python -m ci.tools
	@$(SIDE_BY_SIDE) --hypothesis-profile half tests/proof tests/faults tests/integration tests/chart tests/unit

soak: install ## What takes long: random tests for longer, captures under load, ensembles, 500 backups in a row
	@$(BIN)/python -m ci.tools
	@$(PYTEST) -s --soak --timeout 3600 tests/faults tests/proof tests/integration tests/chart/test_{null,render,program}.py tests/unit

# zookeeper/ has the test that takes longest, so it comes first.
test-unit: install ## Unit tests alone: seconds, no server, few examples of each property
	@$(IN_MEMORY) $(PYTEST) -n 3 --dist worksteal --hypothesis-profile few -o tmp_path_retention_policy=failed tests/unit/zookeeper tests/unit

test-integration: install ## Integration tests alone
	@$(BIN)/python -m ci.tools
	@$(SIDE_BY_SIDE) tests/integration

test-alerts: install ## Each alert of the chart, fired by a real Prometheus over a real failure (ALERTS="-k copies" for a part)
	@$(BIN)/python -m ci.tools alerts
	@$(PYTEST) --timeout 900 --session-timeout 1200 tests/alerts $(ALERTS)

test-cluster: install ## The chart on the Kubernetes cluster of the current kubeconfig (CLUSTER="-k test_story" for a part)
	@$(PYTEST) --exitfirst --durations 0 --durations-min 1 --timeout 1200 tests/cluster $(CLUSTER)

test-pulsar: install ## A disaster on a real Pulsar: brokers, bookies and ZooKeeper are lost, all offloaded data is read again
	@$(PYTEST) --exitfirst --timeout 1800 -s tests/disaster/$(PULSAR)

test-disaster: install ## A whole Pulsar on the cluster of the current kubeconfig is lost, with messages (DISASTER="-k first" for the short form)
	@$(PYTEST) --exitfirst --durations 0 --durations-min 1 --timeout 1800 -s tests/disaster_cluster $(DISASTER)

bench: install ## Measure costs, and compare them with the alternatives (LARGE=--large adds a million znodes)
	@$(PYTEST) -s --timeout 3600 $(LARGE) tests/bench

lint: install ## ruff, mypy strict, yamllint, shellcheck, actionlint, markdownlint
	@$(BIN)/ruff format --config $(CONFIG) --check sidecar tests ci
	@$(BIN)/ruff check --config $(CONFIG) sidecar tests ci
	@$(BIN)/mypy --config-file $(CONFIG) sidecar/src tests ci
	@$(BIN)/yamllint --strict .
	@$(BIN)/python -m ci.workflows
	@$(BIN)/shellcheck --shell bash --external-sources --source-path charts/pulsar/files charts/pulsar/files/*.sh
	@$(BIN)/python -m ci.markdown

format: install ## Format the code by ruff, and apply its fixes
	@$(BIN)/ruff format --config $(CONFIG) sidecar tests ci
	@$(BIN)/ruff check --config $(CONFIG) --fix sidecar tests ci

docs: install ## Rewrite the generated parts: tables in docs/, the chart's schema and README
	@$(BIN)/python -m ci.docs
	@$(BIN)/python -m ci.chart
	@PYTHONPATH=tests $(BIN)/python -m ci.fault_table

mutants: install ## Change code in small ways, and list what no test notices (MODULE=pulsar/ids for one module, "MODULE=--sample pulsar/ids" for a few of its changes)
	@$(BIN)/python -m ci.mutants $(MODULE)

protos: install ## Compile the protocol buffers
	@for package in pulsar tiered_storage; do (cd sidecar/src/metadata_tool/$$package && ../../../../$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. *.proto); done

lock: install ## Resolve all Python packages again, and pin them
	@ci/lock

clean: ## Remove everything that make created here, but not the cache
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
