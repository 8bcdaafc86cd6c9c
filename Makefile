# The doors of the repository. Each makes the environment first, if it is not there.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1

.PHONY: demo test lint docs figures bench numbers data models plain clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e . --group dev
	touch $@

demo: $(VENV)/installed  ## simulate a small survey, search it, vet the hits, write the report
	$(BIN)/speclens demo -o demo

test: $(VENV)/installed  ## every test, on all cores; those on real files need SPECLENS_DATA
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

lint: $(VENV)/installed  ## format, lint, types, layers, docstrings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m numpydoc.hooks.validate_docstrings $$(git ls-files 'src/*.py')

docs: $(VENV)/installed  ## the site, in docs/_build/html
	rm -rf docs/api
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

figures: $(VENV)/installed  ## redraw the figures of the documentation; needs SPECLENS_DATA
	rm -rf docs/_build/figures
	$(BIN)/speclens demo -o docs/_build/figures/demo
	cp docs/_build/figures/demo/report/profiles.png docs/figures/figure7.png
	$(BIN)/python tools/compare_mock_and_real.py --data $(SPECLENS_DATA)
	$(BIN)/speclens evaluate $(SPECLENS_DATA)/boss/galaxies -o docs/_build/figures/default --repeats 100
	cp docs/_build/figures/default/completeness.png docs/figures/completeness_default.png
	$(BIN)/speclens evaluate $(SPECLENS_DATA)/boss/galaxies -o docs/_build/figures/filter --repeats 100 --set search.method=matched-filter
	cp docs/_build/figures/filter/completeness.png docs/figures/completeness_matched_filter.png
	$(BIN)/speclens evaluate $(SPECLENS_DATA)/boss/galaxies -o docs/_build/figures/shu2016 --repeats 100 -c shu2016
	cp docs/_build/figures/shu2016/completeness.png docs/figures/completeness_shu2016.png
	$(BIN)/python tools/draw_paper_figures.py --data $(SPECLENS_DATA)
	$(BIN)/python benchmarks/real_lines.py --searches --figures docs/figures

bench: $(VENV)/installed  ## spectra a second and memory, as a table
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/inference.py

numbers: $(VENV)/installed  ## what search and vetting find, lose and let pass, as tables; 15 GB of disk
	$(BIN)/python benchmarks/science.py
	$(BIN)/python benchmarks/detection.py --figures docs/figures
	$(BIN)/python benchmarks/skewness.py
	$(BIN)/python benchmarks/vetting.py
	$(if $(SPECLENS_DATA),$(BIN)/python benchmarks/real_lines.py)

data: $(VENV)/installed  ## rebuild the bundled basis and noise model from SPECLENS_DATA
	$(BIN)/python tools/build_eigenspectra.py --data $(SPECLENS_DATA)
	$(BIN)/python tools/build_noise_model.py --data $(SPECLENS_DATA)

models: $(VENV)/installed  ## simulate the training sets, train the bundled networks, calibrate the vetting; hours
	for name in speclens li2019; do \
	  $(BIN)/speclens simulate -c $$name -o build/sets/$$name --seed 1 && \
	  $(BIN)/speclens train build/sets/$$name -o build/models/$$name --seed 1 && \
	  mkdir -p src/speclens/data/models/$$name && \
	  cp build/models/$$name/*.* src/speclens/data/models/$$name/ || exit 1; \
	done
	$(BIN)/python tools/calibrate_vetting.py

plain: $(VENV)/installed  ## train the plain networks that the paper gave up, after `make models`
	for kind in lenet alexnet; do \
	  $(BIN)/speclens train build/sets/li2019 -o build/models/$$kind --seed 1 \
	    --set network.kind=$$kind --set training.epochs=5 || exit 1; \
	done

clean:  ## remove what the doors made
	rm -rf $(VENV) build demo docs/_build
