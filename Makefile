# make benchmark   a fresh clone to a finished leaderboard        make test   all tests
# make ui          browse the runs in MLflow                      make lint   what CI checks first
# make publish     rebuild MLflow from the files                  make setup  the environment alone
# make clean       free disk; takes only what comes back without training
# make docs        losses.md, strategies.md and metrics.md in docs/ from the code
# make conformance the losses of other libraries under our tests  make bench-losses   speed beside theirs
# make proof       the statistics on simulated benchmarks         make bench-metrics  speed of counting beside torchmetrics
# make bench-train speed of training beside what a user would write  make bench-evaluate  speed of judging trained cells
# make bench-run   cells side by side beside one after another    make chaos   kill -9 at random, and nothing is lost

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: setup benchmark ui publish clean docs conformance bench-losses bench-metrics bench-train bench-evaluate bench-run lint test proof chaos

setup: .venv/installed

.venv/installed: requirements.lock
	@$(PYTHON) -c "import sys; sys.version_info[:2] in ((3, 11), (3, 12)) or sys.exit('Python 3.11 or 3.12 is needed: make PYTHON=python3.12')"
	$(PYTHON) -m venv .venv
	python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	touch $@

benchmark: setup
	python -m pipeline.run $(if $(JOBS),-j $(JOBS))

ui: setup
	MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}"

publish: setup
	dvc repro --force --single-item publish

clean: setup
	python -m pipeline.clean

docs: setup
	python -m pipeline.docs

bench-run: setup
	python -m pipeline.conformance.running_speed

conformance: .venv/peers
	dvc repro docs/dvc.yaml:conformance

bench-losses: .venv/peers
	python -m pipeline.conformance.speed

bench-metrics: setup
	python -m pipeline.conformance.metrics_speed

bench-train: .venv/peers
	dvc repro prepare
	python -m pipeline.conformance.training_speed --write

bench-evaluate: setup
	python -m pipeline.conformance.prediction_speed --write

.venv/peers: requirements-peers.lock .venv/installed
	python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-peers.lock
	touch $@

lint: setup
	ruff check .
	ruff format --check .

test: setup
	python -m pytest -n auto --dist loadgroup

proof: setup
	python -m pytest -m slow -s --ignore tests/test_chaos.py

chaos: setup
	python -m pytest -m slow -s tests/test_chaos.py
