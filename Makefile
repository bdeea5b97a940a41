# make book     everything from a clean machine to the built site (PROFILE=quick, standard or paper)
# make lab      the chapters as notebooks in JupyterLab (OPTIONS="--no-browser --port 9000" and the like go to jupyter)
# make pdf      the built book as one PDF, _build/PROFILE/book.pdf; needs Chromium or Chrome
# make lint     the quality gate: lint, format, types, conventions of scientific Python projects
# make test     the quality gate, then the tests and their coverage
# make test-long  the few tests that take longest, two minutes; no part of `make test`
# make browser-test  every page of the built book in a browser (SITE=_build/quick/html), about five minutes
# make gpu-test  on a machine with a GPU: its programs against the CPU, and a survey that is killed twice, bit for bit
# make nbgrader-test  thirty simulated students, graded by nbgrader and by `tokengeom collect`, a quarter of an hour
# make bench    speed and memory, compared with common tools; on a quiet machine
# make architectures  every decoder of transformers, tiny, beside the model itself; renews book/models.md, six minutes
# make stress   the ledger of claims on surveys of random numbers; renews data/stress.json, half an hour
# make results  measure the surveys in data/results again, about 45 minutes on two cores
PROFILE ?= quick
PYTHON ?= python3
TORCHID_PYTHON ?= python3.13
BIN := .venv/bin

.PHONY: book lab pdf lint test test-long browser-test site-tests survey-tests library-tests bench architectures stress
.PHONY: results clean lock figure nbgrader-test gpu-test

book: .venv/.book
	@$(BIN)/tokengeom book --profile $(PROFILE)

# Chapters open as notebooks, not as text: a setting of this environment, not of the user.
lab: .venv/.lab
	@$(BIN)/tokengeom fetch-model
	@$(BIN)/tokengeom fetch-texts
	@JUPYTER_CONFIG_DIR=.venv/etc/jupyter $(BIN)/jupytext-config set-default-viewer markdown
	@$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks $(OPTIONS)

pdf: .venv/.pdf
	@$(BIN)/tokengeom pdf _build/$(PROFILE)/html --out _build/$(PROFILE)/book.pdf $(OPTIONS)

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sp-repo-review .

test: lint
	@$(BIN)/tokengeom fetch-model
	@$(BIN)/tokengeom fetch-texts
	@$(BIN)/coverage erase
	@$(MAKE) --no-print-directory --keep-going --jobs 2 site-tests survey-tests library-tests
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

# Two processes at a time, since most tests use one core; the longest first.
site-tests:
	@$(BIN)/coverage run -m pytest tests/site

survey-tests:
	@$(BIN)/coverage run -m pytest tests/surveys

library-tests:
	@$(BIN)/coverage run -m pytest --ignore=tests/site --ignore=tests/surveys

test-long: .venv/.test
	@$(BIN)/tokengeom fetch-model
	@$(BIN)/tokengeom fetch-texts
	@$(BIN)/python -m pytest -m long

SITE ?= _build/$(PROFILE)/html
browser-test: .venv/.test
	@TOKENGEOM_SITE=$(SITE) $(BIN)/python -m pytest -m browser -v tests/site/test_browser.py

gpu-test: .venv/.test
	@$(BIN)/python -c 'import sys, torch; sys.exit(None if torch.cuda.is_available() else "make gpu-test: torch finds no CUDA device on this machine")'
	@$(BIN)/python -m pytest tests/clouds/test_gpu.py
	@$(BIN)/python -m pytest -m gpu tests/surveys

nbgrader-test: .venv/.test .venv-nbgrader/.ready
	@$(BIN)/python -m pytest -m nbgrader -s tests/classes/test_nbgrader.py

bench: .venv/.test .venv-dadapy/.ready .venv-torchid/.ready
	@$(BIN)/tokengeom fetch-model
	@$(BIN)/tokengeom fetch-texts
	@$(BIN)/python benchmarks/observables.py
	@$(BIN)/python benchmarks/tools.py
	@$(BIN)/python benchmarks/scaling.py
	@$(BIN)/python benchmarks/memory.py
	@$(BIN)/python benchmarks/surveys.py
	@$(BIN)/python benchmarks/stores.py
	@$(BIN)/python benchmarks/chapters.py

architectures: .venv/.test
	@$(BIN)/python tests/architectures.py

stress: .venv/.test
	@OMP_NUM_THREADS=1 $(BIN)/python tests/stress.py

# One stamp for each set of extras; either is renewed when what is pinned changes.
.venv/.book: EXTRAS := book,cluster,data
.venv/.lab: EXTRAS := book,cluster,data,lab
.venv/.test: EXTRAS := book,cluster,data,test
.venv/.pdf: EXTRAS := book,cluster,data,pdf
.venv/.book .venv/.lab .venv/.pdf .venv/.test: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; name another with  make PYTHON=...") if sys.version_info < (3, 11) else 0'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@start=$$(date +%s); $(BIN)/python -m pip install --quiet --upgrade 'pip>=24' && \
	  $(BIN)/python -m pip install -c constraints.txt -e '.[$(EXTRAS)]' && \
	  echo "environment ready in $$(( $$(date +%s) - start )) s"
	@touch $@

# DADApy needs numpy < 2, and jax 0.4.30, which is there up to Python 3.12: an environment of its own.
.venv-dadapy/.ready: benchmarks/usual_way.txt
	@$(PYTHON) -c 'import sys; sys.exit("DADApy needs Python 3.11 or 3.12, this is " + sys.version.split()[0] + "; name another with  make bench PYTHON=...") if not (3, 11) <= sys.version_info < (3, 13) else 0'
	@test -x .venv-dadapy/bin/python || $(PYTHON) -m venv .venv-dadapy
	@.venv-dadapy/bin/python -m pip install --quiet --upgrade 'pip>=24' && \
	  .venv-dadapy/bin/python -m pip install -r benchmarks/usual_way.txt
	@touch $@

# torchid needs Python 3.13: an environment of its own, with a Python of its own.
.venv-torchid/.ready: benchmarks/torchid.txt
	@$(TORCHID_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 13))' 2>/dev/null || \
	  { echo "torchid needs Python 3.13 or newer, and no such Python runs as $(TORCHID_PYTHON); name one with  make bench TORCHID_PYTHON=..."; exit 1; }
	@test -x .venv-torchid/bin/python || $(TORCHID_PYTHON) -m venv .venv-torchid
	@.venv-torchid/bin/python -m pip install --quiet --upgrade 'pip>=24' && \
	  .venv-torchid/bin/python -m pip install -r benchmarks/torchid.txt
	@touch $@

# nbgrader brings a whole Jupyter; the packages of the project come from its own environment.
.venv-nbgrader/.ready: tests/classes/nbgrader.txt .venv/.test
	@rm -rf .venv-nbgrader && $(BIN)/python -m venv .venv-nbgrader
	@$(BIN)/python -c 'import pathlib, site, sysconfig; \
	  packages = pathlib.Path(".venv-nbgrader").joinpath(*pathlib.Path(sysconfig.get_path("purelib")).relative_to(sysconfig.get_path("data")).parts); \
	  (packages / "project.pth").write_text("\n".join([sysconfig.get_path("purelib"), str(pathlib.Path.cwd())]))'
	@.venv-nbgrader/bin/python -m pip install --quiet -c constraints.txt -r tests/classes/nbgrader.txt
	@touch $@

# The bundled surveys: the bundled model on all pocket prompts, and on their first 256 tokens; its untrained twin on some,
# and other twins on fewer.
results: .venv/.test
	@rm -rf _build/results
	@$(BIN)/tokengeom survey --profile standard --out _build/results/standard.zarr
	@$(BIN)/tokengeom survey --profile standard --n-tokens 256 --scale-max 128 --shuffles 0,4 \
	  --out _build/results/short.zarr
	@$(BIN)/tokengeom survey --profile standard --model untrained:smollm2-135m --n-prompts 30 --n-shuffled 30 \
	  --out _build/results/untrained.zarr
	@for name in standard short untrained; do \
	  $(BIN)/tokengeom doctor _build/results/$$name.zarr && \
	  $(BIN)/tokengeom export _build/results/$$name.zarr _build/results/packed/$$name.zarr || exit 1; done
	@for seed in 1 2 3; do \
	  $(BIN)/tokengeom survey --profile standard --model untrained-$$seed:smollm2-135m --n-prompts 15 --n-shuffled 15 \
	    --shuffles 0,5 --scale-max 8 --k-max 2 --out _build/results/twins/untrained-$$seed.zarr || exit 1; done
	@$(BIN)/python data/make_twins.py _build/results/twins
	@for name in standard short untrained; do \
	  rm -rf data/results/$$name.zarr && mv _build/results/packed/$$name.zarr data/results/ || exit 1; done

clean:
	rm -rf _build

# Renew constraints.txt from the newest versions that pyproject.toml allows.
lock:
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --upgrade 'pip>=24'
	.venv-lock/bin/pip install --quiet -e '.[book,cluster,data,pdf,lab,test]' torch==2.13.0
	{ head -n 2 constraints.txt; .venv-lock/bin/pip freeze --exclude-editable | sed 's/+cpu$$//' \
	  | grep -v -E '^(pip|setuptools|wheel)=='; } > constraints.new && mv constraints.new constraints.txt
	rm -rf .venv-lock

# The README's figure: fig-one-page, as the last build of PROFILE drew it; and the card for links to the book.
figure:
	@$(BIN)/python -c 'import nbformat, pathlib; \
	  cells = [c for p in pathlib.Path("_build/$(PROFILE)/chapters").glob("*.ipynb") for c in nbformat.read(p, 4).cells]; \
	  (cell,) = [c for c in cells if c.metadata.get("mystnb", {}).get("figure", {}).get("name") == "fig-one-page"]; \
	  (svg,) = [o.data["image/svg+xml"] for o in cell.outputs if "image/svg+xml" in o.get("data", {})]; \
	  pathlib.Path("book/_static/main-figure.svg").write_text(svg)'
	@$(BIN)/python book/card.py
