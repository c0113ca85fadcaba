# One command each; `make help` lists them. They use the Python on the PATH.
.DEFAULT_GOAL := help
.PHONY: help install check format lint types test nightly fuzz bench docs page samples images dist bundle locks

help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: ## install everything for development, from the locked requirements
	pip install --quiet --require-hashes -r requirements/uv.txt
	uv pip install --system-certs --require-hashes -r requirements/dev.txt
	uv pip install --system-certs --no-deps --no-build-isolation -e .

check: lint types test ## all that CI checks

format: ## format the code
	ruff check --fix-only --quiet
	ruff format --quiet

lint: ## format and lint rules, the directions of imports, the Dockerfiles
	ruff format --check --quiet
	ruff check --quiet
	hadolint Dockerfile.cpu Dockerfile.gpu

types: ## strict types, as each system sees them
	@for system in linux darwin win32; do \
		mypy --platform $$system --cache-dir .mypy_cache/$$system || exit 1; done

test: ## the tests
	pytest

nightly: ## tests that are left out else; those of export with the whole network, some minutes
	pytest -m nightly
	SCENE_BATCH_TEST_XCEPTION=whole pytest tests/export

fuzz: ## damage photos for about half an hour; what it finds becomes a fixture
	pytest tests/runner/model/test_decode.py -n 0 -k damaged --hypothesis-profile=fuzz --timeout 0

bench: SHELL := /bin/bash
bench: .SHELLFLAGS := -o pipefail -c
bench: ## ours, rivals and limits side by side, about an hour: make bench PHOTOS=folder OUT=new.md
	@test -n "$(PHOTOS)" -a -n "$(OUT)" || { echo "say PHOTOS=folder of JPEGs and OUT=file.md"; exit 2; }
	python -m venv .bench/openvino && .bench/openvino/bin/pip install -q '.[openvino]' openvino
	python -m venv .bench/torch && .bench/torch/bin/pip install -q '.[cpu]' onnx torch
	rm -rf .bench/large && python benchmarks/photos.py $(PHOTOS) .bench/large 200
	export PYTHON_OPENVINO=.bench/openvino/bin/python PYTHON_TORCH=.bench/torch/bin/python; \
	for photos in $(PHOTOS) .bench/large; do python benchmarks/side_by_side.py $$photos \
		--out $(OUT) --title "$$(basename $$photos)" || exit 1; done
	python benchmarks/claims.py $(PHOTOS) .bench/large | tee -a $(OUT)
	python benchmarks/growth.py $(PHOTOS) --plot .bench/growth.png | tee -a $(OUT)

docs: ## docs/commands.md and docs/model-card.md from the commands themselves
	python docs/render_commands.py
	scene-batch inspect --markdown > docs/model-card.md

page: ## the code of report's page, from its sources, by npm
	npm --prefix report/page ci
	npm --prefix report/page run build

samples: ## the sample photos from their script
	python samples/render.py

images: ## the container images, by docker, podman or buildah: make images IMAGES="cpu serve lambda gpu"
	deploy/images.sh $(IMAGES)

dist: export SOURCE_DATE_EPOCH = $(shell git log -1 --format=%ct)
dist: ## wheel and sdist, byte for byte the same for a commit, and the bill of materials
	rm -f dist/*.whl dist/*.tar.gz dist/*.json && python -m hatchling build
	python -m twine check --strict dist/*.whl dist/*.tar.gz
	python -m cyclonedx_py requirements requirements/cpu.txt --pyproject pyproject.toml \
		--output-reproducible --of JSON -o dist/scene-batch.cdx.json

bundle: ## an archive that installs without a network: make bundle PLATFORM=aarch64 PYTHON=3.11 MODEL=mine.onnx
	PYTHON=$(or $(PYTHON),3.11) MODEL=$(MODEL) deploy/bundle.sh $(PLATFORM)

LOCK = uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --custom-compile-command "make locks"

locks: ## the locked requirements, anew
	$(LOCK) pyproject.toml --extra cpu --extra heif --output-file requirements/cpu.txt
	$(LOCK) pyproject.toml --extra cpu --extra heif --extra serve --output-file requirements/serve.txt
	$(LOCK) pyproject.toml --extra cpu --extra heif --extra serve --extra lambda --output-file requirements/lambda.txt
	$(LOCK) pyproject.toml --extra gpu --extra heif --extra serve --output-file requirements/gpu.txt
	$(LOCK) pyproject.toml --extra cpu --extra train --extra export --output-file requirements/train.txt
	$(LOCK) pyproject.toml --extra cpu --extra train --extra export --extra report --extra serve --extra cluster --group dev --output-file requirements/dev.txt
	$(LOCK) --group build --output-file requirements/build.txt
	$(LOCK) --group build --group release --output-file requirements/release.txt
	$(LOCK) --group uv --output-file requirements/uv.txt
