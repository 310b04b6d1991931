# Relais: one line for each thing that can be asked. Every target sets up what it needs; `make` alone lists them.

RUN := .venv/bin/python
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help demo test up down bench setup lock format clean

help:  ## list what can be asked
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(READY)  ## hand a person over, from a day centre to CCEM and on to a shelter, and print the story
	@$(RUN) -m deploy.cli demo $(ARGS)

test: $(READY)  ## run every check and every test
	@$(RUN) -m tests $(ARGS)

up: $(READY)  ## start CCEM's node and the shelter's, and leave them running
	@$(RUN) -m deploy.cli up $(ARGS)

down: $(READY)  ## stop what `make up` started
	@$(RUN) -m deploy.cli down $(ARGS)

bench: $(READY)  ## measure, side by side with the usual way and with the limit
	@$(RUN) -m bench $(ARGS)

setup: $(READY)  ## make .venv from requirements.lock, and nothing else
	@echo 'Ready: .venv, with the relais command in .venv/bin.'

lock: $(READY)  ## write the locks anew from pyproject.toml
	@$(RUN) -m deploy.setup.lock

format: $(READY)  ## put the code into the project's shape
	@$(RUN) -m ruff check --fix --quiet . ; $(RUN) -m ruff format .

clean:  ## remove what was built here; `make down` first
	@rm -rf build .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# The stamp is written last, by deploy/setup: an interrupted set-up is taken up again.
$(READY): requirements.lock
	@python=$$(sh deploy/setup/python.sh) && "$$python" -m deploy.setup
