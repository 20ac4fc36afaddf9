# make demo: everything from nothing to a page you can drop a photograph on.  make test: the tests.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
BIN := .venv/bin
UV := .uv/bin/uv
export UV_PYTHON_DOWNLOADS := never

.PHONY: demo demo-data env test lint format lock clean

demo: demo-data
	$(BIN)/thud serve --bundle demo/bundle --index demo/index --host $(HOST) --port $(PORT)

# The demo's model and library, each made once. Interrupted, make goes on where it stopped.
demo-data: demo/index/current

demo/index/current: demo/bundle/bundle.json demo/sounds/manifest.csv | $(BIN)/thud
	$(BIN)/thud index demo/bundle demo/sounds demo/index

demo/bundle/bundle.json: demo/dataset/dataset.json training/recipes/demo.toml | $(BIN)/thud
	$(BIN)/thud train demo/dataset demo/run --recipe demo
	$(BIN)/thud evaluate demo/run demo/dataset
	$(BIN)/thud export demo/run demo/bundle

demo/dataset/dataset.json: | $(BIN)/thud
	$(BIN)/thud prepare synthetic demo/dataset --scenes 1200 --clips 4 --size 64 --sample-rate 22050 --before 0.1 --after 0.5

demo/sounds/manifest.csv: | $(BIN)/thud
	$(BIN)/thud synthesize library demo/sounds

env: $(BIN)/thud

# uv keeps what it installs in a cache of its own and links it from there, so that a second clone takes seconds.
$(BIN)/thud: requirements/all.lock pyproject.toml $(UV)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Thud needs Python 3.11 or newer; call make PYTHON=...")'
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements/all.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(UV): requirements/bootstrap.lock
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/bootstrap.lock
	@touch $@

# One file of tests a process at a time; each process computes on one core.
test: env
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: env
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m mypy

format: env
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

COMPILE = $(UV) pip compile pyproject.toml --quiet --universal --generate-hashes --no-emit-index-url --no-header

# Pins for everything, then the same pins for the smaller sets.
lock: $(UV)
	$(COMPILE) --all-extras -o requirements/all.lock
	$(COMPILE) -c requirements/all.lock --extra train -o requirements/train.lock
	$(COMPILE) -c requirements/all.lock -o requirements/serve.lock

clean:
	rm -rf demo .venv .uv .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
