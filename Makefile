# make benchmark   a fresh clone to a finished leaderboard        make test   all tests
# make ui          browse the runs in MLflow                      make lint   what CI checks first
# make publish     rebuild MLflow from the files                  make setup  the environment alone
# make docs        losses.md, strategies.md and metrics.md in docs/ from the code
# make conformance the losses of other libraries under our tests  make bench-losses   speed beside theirs
# make proof       the statistics on simulated benchmarks         make bench-metrics  speed of counting beside torchmetrics

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: setup benchmark ui publish docs conformance bench-losses bench-metrics lint test proof

setup: .venv/installed

.venv/installed: requirements.lock
	@$(PYTHON) -c "import sys; sys.version_info[:2] in ((3, 11), (3, 12)) or sys.exit('Python 3.11 or 3.12 is needed: make PYTHON=python3.12')"
	$(PYTHON) -m venv .venv
	python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	touch $@

benchmark: setup
	python -m pipeline.run $(if $(JOBS),-j $(JOBS))

ui: setup
	MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri $${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}

publish: setup
	dvc repro --force --single-item publish

docs: setup
	python -m pipeline.document

conformance: .venv/peers
	dvc repro docs/dvc.yaml:conformance

bench-losses: .venv/peers
	python -m pipeline.conformance.speed

bench-metrics: setup
	python -m pipeline.conformance.metrics_speed

.venv/peers: requirements-peers.lock .venv/installed
	python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-peers.lock
	touch $@

lint: setup
	ruff check .
	ruff format --check .

test: setup
	python -m pytest -n auto --dist loadgroup

proof: setup
	python -m pytest -m slow -s
