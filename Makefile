# The doors of the repository. Each makes the environment first, if it is not there.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1

.PHONY: demo test browser lint tables docs release figures bench numbers paper data inputs models plain clean

# torch, some gigabytes, is for training only: neither the demo nor most tests need it.
PLAIN := $(VENV)/installed
FULL := $(VENV)/installed-dev

$(PLAIN): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e . --group test
	touch $@

$(FULL): $(PLAIN)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e . --group dev
	touch $@

demo: $(PLAIN)  ## simulate a small survey, search it, vet the hits, write the report
	$(BIN)/speclens demo -o demo

test: $(if $(TRAIN),$(FULL),$(PLAIN))  ## every test, on all cores; of training with TRAIN=1, on real files with SPECLENS_DATA
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

browser: $(PLAIN)  ## Playwright, for the tests of the page in a browser, which need chromium too and are skipped without
	$(BIN)/python -m pip install --quiet -c constraints.txt --group browser

lint: $(FULL)  ## format, lint, types, layers, docstrings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m numpydoc.hooks.validate_docstrings $$(git ls-files 'src/*.py')

tables: $(PLAIN)  ## write the tables of columns, codes, keys and benchmarks into the pages of docs, and draw the data flow
	$(BIN)/python tools/write_tables.py
	$(BIN)/python tools/draw_data_flow.py

docs: $(FULL)  ## the site, in docs/_build/html
	rm -rf docs/api
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

release: $(PLAIN)  ## wheel and sdist, in dist, each searched with in an empty environment, where the tutorial is run too: with the versions of constraints.txt, with the lowest
	rm -rf dist
	$(BIN)/python -m pip install --quiet -c constraints.txt --group release
	$(BIN)/python -m build --outdir dist
	$(BIN)/python tools/check_release.py dist
	$(BIN)/python tools/check_release.py dist --lowest

figures: $(FULL)  ## redraw the figures of the documentation; needs SPECLENS_DATA
	rm -rf docs/_build/figures
	$(BIN)/speclens demo -o docs/_build/figures/demo
	cp docs/_build/figures/demo/report/profiles.svg docs/figures/figure7.svg
	$(BIN)/python tools/compare_mock_and_real.py --data $(SPECLENS_DATA)
	$(BIN)/python tools/compare_tails.py --data $(SPECLENS_DATA) --tables docs/tables
	$(BIN)/speclens evaluate $(SPECLENS_DATA)/boss/galaxies -o docs/_build/figures/default --repeats 100
	cp docs/_build/figures/default/completeness.png docs/figures/completeness_default.png
	cp docs/_build/figures/default/completeness_lya_lya.png docs/figures/completeness_by_quantity.png
	cp docs/_build/figures/default/limits_lya_lya.png docs/figures/completeness_limits.png
	$(BIN)/speclens evaluate $(SPECLENS_DATA)/boss/galaxies -o docs/_build/figures/filter --repeats 100 --set search.method=matched-filter
	cp docs/_build/figures/filter/completeness.png docs/figures/completeness_matched_filter.png
	$(BIN)/speclens evaluate $(SPECLENS_DATA)/boss/galaxies -o docs/_build/figures/shu2016 --repeats 100 -c shu2016
	cp docs/_build/figures/shu2016/completeness.png docs/figures/completeness_shu2016.png
	$(BIN)/python tools/draw_paper_figures.py --data $(SPECLENS_DATA)
	$(BIN)/python benchmarks/real_lines.py --searches --figures docs/figures
	-$(MAKE) browser && $(BIN)/python tools/photograph_page.py docs/_build/figures/demo

bench: $(FULL)  ## spectra a second and memory, as tables; 12 GB of disk
	$(BIN)/python benchmarks/throughput.py --tables docs/tables
	$(if $(SPECLENS_DATA),$(BIN)/python benchmarks/loose_files.py --tables docs/tables)
	$(BIN)/python benchmarks/scaling.py --plates 1 10 100 --tables docs/tables
	$(BIN)/python benchmarks/inference.py --tables docs/tables
	$(BIN)/python benchmarks/grading.py --tables docs/tables
	$(BIN)/python tools/write_tables.py

numbers: $(FULL)  ## what search and vetting find, lose and let pass, as tables; 15 GB of disk
	$(BIN)/python benchmarks/science.py --tables docs/tables
	$(BIN)/python benchmarks/detection.py --tables docs/tables --figures docs/figures
	$(BIN)/python benchmarks/detection.py -c desi --models speclens --tables docs/tables --figures docs/figures
	$(BIN)/python benchmarks/doublet.py --tables docs/tables --figures docs/figures
	$(BIN)/python benchmarks/candidates.py --tables docs/tables
	$(if $(SPECLENS_DATA),$(BIN)/python benchmarks/damaged.py --tables docs/tables)
	$(BIN)/python benchmarks/skewness.py --tables docs/tables
	$(BIN)/python benchmarks/vetting.py --tables docs/tables
	$(if $(SPECLENS_DATA),$(BIN)/python benchmarks/levers.py --tables docs/tables)
	$(if $(SPECLENS_DATA),$(BIN)/python benchmarks/line_search.py --tables docs/tables)
	$(if $(SPECLENS_DATA),$(BIN)/python benchmarks/lensed.py --tables docs/tables)
	$(BIN)/python benchmarks/selection.py --tables docs/tables
	$(BIN)/python benchmarks/line_searches.py --tables docs/tables
	$(BIN)/python benchmarks/line_identity.py --tables docs/tables
	$(BIN)/python benchmarks/line_identity.py -c desi --plates 8 --spectra 500 --tables docs/tables
	$(BIN)/python benchmarks/quasar_searches.py --tables docs/tables
	$(if $(SPECLENS_DATA),$(BIN)/python benchmarks/real_lines.py --tables docs/tables)
	$(if $(SPECLENS_DATA),$(BIN)/python benchmarks/desi.py --tables docs/tables)
	$(BIN)/python -m pip install --quiet -e ".[specutils]"
	$(BIN)/python benchmarks/side_by_side.py --tables docs/tables --figures docs/figures
	$(BIN)/python tools/write_tables.py

PAPER := docs/_build/paper
paper: $(FULL)  ## every number of the paper beside ours, from the bundled models; RETRAIN=1 trains the paper's network first, an hour
	rm -rf $(PAPER)
	$(if $(RETRAIN),$(BIN)/speclens simulate -c li2019 -o build/sets/li2019 --seed 1)
	$(if $(RETRAIN),$(BIN)/speclens train build/sets/li2019 -o build/models/li2019 --seed 1)
	$(BIN)/speclens demo -o $(PAPER)/demo
	$(BIN)/python benchmarks/vetting.py --plates 20 --tables $(PAPER)/tables
	$(BIN)/python benchmarks/detection.py --plates 20 --models speclens $(if $(RETRAIN),build/models/li2019,li2019) --tables $(PAPER)/tables
	$(BIN)/python benchmarks/throughput.py --plates 2 --batches 2 --tables $(PAPER)/tables
	$(if $(SPECLENS_DATA),$(BIN)/python benchmarks/real_lines.py --vetted 1 --tables $(PAPER)/tables)
	$(if $(SPECLENS_DATA),$(BIN)/python tools/draw_paper_figures.py --data $(SPECLENS_DATA) -o $(PAPER))
	$(BIN)/python benchmarks/paper.py $(PAPER) $(if $(RETRAIN),--model build/models/li2019,--tables docs/tables)

data: $(FULL)  ## rebuild the bundled basis, noise model and growth of the errors from SPECLENS_DATA
	$(BIN)/python tools/build_eigenspectra.py --data $(SPECLENS_DATA)
	$(BIN)/python tools/build_noise_model.py --data $(SPECLENS_DATA)
	$(BIN)/python tools/measure_error_growth.py --data $(SPECLENS_DATA)

inputs: $(PLAIN)  ## record anew what the bundled models see, after a change of the code that is harmless to them
	$(BIN)/python tools/record_inputs.py

models: $(FULL)  ## simulate the training sets, train the bundled networks, calibrate the vetting; hours
	for name in speclens li2019 redshift; do \
	  $(BIN)/speclens simulate -c $$name -o build/sets/$$name --seed 1 && \
	  $(BIN)/speclens train build/sets/$$name -o build/models/$$name --seed 1 && \
	  mkdir -p src/speclens/data/models/$$name && \
	  cp build/models/$$name/*.* src/speclens/data/models/$$name/ && \
	  rm src/speclens/data/models/$$name/speclens.json || exit 1; \
	done
	$(BIN)/python tools/calibrate_vetting.py

plain: $(FULL)  ## train the plain networks that the paper gave up, by each optimiser, after `make models`
	for kind in lenet alexnet; do for optimizer in adamw:2e-3 adam:1e-3 sgd:1e-2; do \
	  $(BIN)/speclens train build/sets/li2019 -o build/models/$$kind-$${optimizer%:*} --seed 1 \
	    --set network.kind=$$kind --set training.optimizer=$${optimizer%:*} \
	    --set training.learning_rate=$${optimizer#*:} --set training.epochs=3 || exit 1; \
	done; done
	$(BIN)/python benchmarks/plain_networks.py build/models/lenet-* build/models/alexnet-* \
	  --tables docs/tables --figures docs/figures
	$(BIN)/python tools/write_tables.py

clean:  ## remove what the doors made
	rm -rf $(VENV) build demo docs/_build
