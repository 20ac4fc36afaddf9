# make demo: everything from nothing to a page you can drop a photograph on.  make test: the tests.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
VENV ?= .venv
BIN := $(VENV)/bin
LOWEST_BIN := .venv-lowest/bin
DEMO_BIN := .venv-demo/bin
UV := .uv/bin/uv
export UV_PYTHON_DOWNLOADS := never
# Where it is set, each of the hundreds of processes that the tests start would compile all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo demo-data env test test-lowest test-engines test-container coverage lint format lock clean

demo: demo-data
	$(DEMO_BIN)/thud serve --bundle model/pretrained --index demo/index --host $(HOST) --port $(PORT)

# The demo's library and its index, each made once. Interrupted, make goes on where it stopped.
demo-data: demo/index/current

# Made anew where the bundle or the format has changed.
demo/index/current: model/pretrained/bundle.json index/generation.py demo/sounds/manifest.csv | $(DEMO_BIN)/thud
	$(DEMO_BIN)/thud index model/pretrained demo/sounds demo/index

demo/sounds/manifest.csv: | $(DEMO_BIN)/thud
	$(DEMO_BIN)/thud synthesize library demo/sounds

env: $(BIN)/thud node_modules/.package-lock.json

# What checks the page: node comes with the environment, the tools by npm.
node_modules/.package-lock.json: package-lock.json | $(BIN)/thud
	$(BIN)/npm ci --silent

# Everything, for tests and training.
$(BIN)/thud: requirements/all.lock pyproject.toml $(UV)
	$(call install,$(VENV),requirements/all.lock)

# The same with the lowest versions that pyproject.toml allows of what Thud imports to index and serve.
$(LOWEST_BIN)/thud: requirements/all.lock requirements/lowest.lock pyproject.toml $(UV)
	$(call install,.venv-lowest,requirements/all.lock,requirements/lowest.lock)

# What the demo needs: no PyTorch.
# Compiled at once, as pip does: the service starts in half the time, also where it may not write beside the modules.
$(DEMO_BIN)/thud: export UV_COMPILE_BYTECODE := 1
$(DEMO_BIN)/thud: requirements/demo.lock pyproject.toml $(UV)
	$(call install,.venv-demo,requirements/demo.lock)

# Makes the environment $(1) with the pins of $(2) and then those of $(3). uv keeps what it installs in a cache of its own and links it from
# there, so that a second clone takes seconds. setuptools, which installs Thud itself, has its pin in all.lock.
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Thud needs Python 3.11 or newer; call make PYTHON=...")'
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(1)
	$(UV) pip sync --quiet --python $(1)/bin/python --require-hashes $(2)
	$(if $(3),$(UV) pip install --quiet --python $(1)/bin/python --require-hashes --no-deps -r $(3))
	$(UV) pip install --quiet --python $(1)/bin/python --no-deps --build-constraint requirements/all.lock --editable .
	@touch $@
endef

$(UV): requirements/bootstrap.lock
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/bootstrap.lock
	@touch $@

# One file of tests a process at a time; each process computes on one core. Three on two cores, because many tests wait for a server. A process
# that ends itself ends the run: pytest-xdist would start another and then wait for ever (3.8.0).
PARALLEL = -n 3 --dist loadfile --max-worker-restart 0
TEST = OMP_NUM_THREADS=1 $(1)/python -m pytest $(PARALLEL)

# All tests, then those of LOWEST with the lowest versions. Another Python: make test PYTHON=python3.13 VENV=.venv-3.13
LOWEST = $(addprefix tests/index/test_,build.py commands.py freesound.py picture_columns.py \
	recommend_command.py search.py tags.py vectors.py vector_files.py watching.py) $(addprefix tests/model/test_,bundle.py picture.py sound.py) \
	$(addprefix tests/service/test_,app.py connection.py recommend.py)
test: env $(LOWEST_BIN)/thud
	$(call TEST,$(BIN))
	$(call TEST,$(LOWEST_BIN)) $(LOWEST)

test-lowest: $(LOWEST_BIN)/thud
	$(call TEST,$(LOWEST_BIN)) tests/model tests/index tests/service

# A Milvus server, a store that speaks S3 and a Ray cluster, started by the tests where nobody else can reach them.
test-engines: env .venv-milvus/bin/python
	OMP_NUM_THREADS=1 $(BIN)/python tests/engines/alone.py $(BIN)/python -m pytest -m engines tests/engines --durations 5

# The server comes as a package that only starts it, for Linux on x86-64; elsewhere the tests that need it are skipped.
.venv-milvus/bin/python: requirements/milvus.lock $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv-milvus
	if [ "$$(uname -sm)" = "Linux x86_64" ]; then \
		$(UV) pip install --quiet --python $@ --require-hashes --no-deps -r requirements/milvus.lock; fi
	@touch $@

# How much of the code the tests run, those of the processes that they start included.
coverage: env
	$(BIN)/coverage erase
	OMP_NUM_THREADS=1 $(BIN)/coverage run -m pytest $(PARALLEL)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# The images, built and run, on the engine that answers or, with CONTAINER_HOST=SCRIPT, on one that the script makes.
# Their folders are mounted into containers, so they lie where an engine finds them.
test-container: env
	OMP_NUM_THREADS=1 TMPDIR=$${TMPDIR:-/tmp} $(if $(CONTAINER_HOST),tests/on_container_host.sh $(CONTAINER_HOST)) \
		$(BIN)/python -m pytest -m container tests/test_container.py --durations 5

lint: env
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell
	$(BIN)/node node_modules/.bin/biome check --error-on-warnings
	$(BIN)/node node_modules/.bin/tsc

format: env
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/node node_modules/.bin/biome check --write

COMPILE = $(UV) pip compile pyproject.toml --quiet --universal --generate-hashes --no-emit-index-url --no-header

# Pins for everything, then the same pins for the smaller sets.
lock: $(UV)
	$(COMPILE) --all-extras --group sound-weights -o requirements/all.lock
	$(COMPILE) -c requirements/all.lock --extra train -o requirements/train.lock
	$(COMPILE) -c requirements/all.lock --extra demo -o requirements/demo.lock
	$(COMPILE) -c requirements/all.lock -o requirements/serve.lock
	$(COMPILE) -c requirements/all.lock --extra milvus --extra s3 -o requirements/engines.lock
	$(COMPILE) --resolution lowest-direct --extra otel --extra watch -o requirements/lowest.lock
	$(subst pyproject.toml,requirements/milvus.in,$(COMPILE)) --no-deps -o requirements/milvus.lock

clean:
	rm -rf demo node_modules .venv* .uv .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info
