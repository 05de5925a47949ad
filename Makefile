# make demo   train two networks on handwritten digits, from export to export
# make test   all tests
# make lint   formatting, style, types
# make docs   the site, in build/docs, warnings being errors, and its links
# make clean  remove what these have made
#
# Everything is installed into .venv, with the python3 of this machine or PYTHON=...

PYTHON ?= python3
# onnxruntime-training has ended before Python 3.13, and was never made for Linux on ARM.
RUNTIME := $(shell $(PYTHON) -c 'import platform, sys; print("ort-training" if sys.version_info < (3, 13) \
  and (sys.platform != "linux" or platform.machine() == "x86_64") else "train")')
VENV := .venv
RUN := $(VENV)/bin
SOURCES := pyproject.toml CMakeLists.txt svgd_onnx/version.py $(shell find custom_ops -type f)

.PHONY: demo test lint docs clean

demo: $(VENV)/installed
	$(RUN)/python -m tools.demo

test: $(VENV)/installed
	$(RUN)/python -m pytest --numprocesses auto

lint: $(VENV)/installed
	$(RUN)/pip install --quiet 'svgd-onnx[lint]'
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	rm -rf build/types && mkdir -p build/types  # types are checked where transforms/ lies once it is installed
	cp -r svgd_onnx build/types && cp -r transforms build/types/svgd_onnx
	MYPYPATH=build/types $(RUN)/mypy -p svgd_onnx
	$(RUN)/clang-format --dry-run --Werror $(shell find custom_ops examples/cpp -name '*.cc' -o -name '*.cu' -o -name '*.cuh' -o -name '*.h')

docs: $(VENV)/installed
	$(RUN)/pip install --quiet 'svgd-onnx[docs]'
	rm -rf build/docs
	$(RUN)/sphinx-build -q -W --keep-going -c docs . build/docs
	$(RUN)/python -m tools.docs.links build/docs

$(VENV)/installed: $(SOURCES)
	$(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet --upgrade pip
	$(RUN)/pip install --quiet --editable '.[convert,$(RUNTIME),demo,paper,test]'
	touch $@

clean:
	rm -rf $(VENV) build demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
