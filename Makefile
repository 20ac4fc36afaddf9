# make demo: everything from nothing to a page you can drop a photograph on.  make test: the tests.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
BIN := .venv/bin
DEMO_BIN := .venv-demo/bin
UV := .uv/bin/uv
export UV_PYTHON_DOWNLOADS := never

.PHONY: demo demo-data env test test-container lint format lock clean

demo: demo-data
	$(DEMO_BIN)/thud serve --bundle model/pretrained --index demo/index --host $(HOST) --port $(PORT)

# The demo's library and its index, each made once. Interrupted, make goes on where it stopped.
demo-data: demo/index/current

# Made anew where the bundle or the format has changed.
demo/index/current: model/pretrained/bundle.json index/generation.py demo/sounds/manifest.csv | $(DEMO_BIN)/thud
	$(DEMO_BIN)/thud index model/pretrained demo/sounds demo/index

demo/sounds/manifest.csv: | $(DEMO_BIN)/thud
	$(DEMO_BIN)/thud synthesize library demo/sounds

env: $(BIN)/thud

# Everything, for tests and training.
$(BIN)/thud: requirements/all.lock pyproject.toml $(UV)
	$(call install,.venv,requirements/all.lock)

# What the demo needs: no PyTorch.
$(DEMO_BIN)/thud: requirements/demo.lock pyproject.toml $(UV)
	$(call install,.venv-demo,requirements/demo.lock)

# Makes the environment $(1) with the pins of $(2). uv keeps what it installs in a cache of its own and links it from
# there, so that a second clone takes seconds. setuptools, which installs Thud itself, has its pin in all.lock.
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Thud needs Python 3.11 or newer; call make PYTHON=...")'
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(1)
	$(UV) pip sync --quiet --python $(1)/bin/python --require-hashes $(2)
	$(UV) pip install --quiet --python $(1)/bin/python --no-deps --build-constraint requirements/all.lock --editable .
	@touch $@
endef

$(UV): requirements/bootstrap.lock
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/bootstrap.lock
	@touch $@

# One file of tests a process at a time; each process computes on one core.
test: env
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# The images, built and run, on the engine that answers or, with CONTAINER_HOST=SCRIPT, on one that the script makes.
test-container: env
	OMP_NUM_THREADS=1 $(if $(CONTAINER_HOST),tests/on_container_host.sh $(CONTAINER_HOST)) \
		$(BIN)/python -m pytest -m container tests/test_container.py --durations 5

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
	$(COMPILE) -c requirements/all.lock --extra demo -o requirements/demo.lock
	$(COMPILE) -c requirements/all.lock -o requirements/serve.lock

clean:
	rm -rf demo .venv .venv-demo .uv .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
