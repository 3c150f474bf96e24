# syntax=docker/dockerfile:1
# How to build and run it: deploy/CONTAINER.md. Docker and buildah build it alike; `make image-test` does so and runs the result.
ARG PYTHON=3.13.16
ARG BASE=python:${PYTHON}-slim-trixie

# Every wheel, once: the others' by the hashes in the lock files, ours built from this folder.
FROM ${BASE} AS wheels
# "postgres", "otel", both, or nothing.
ARG EXTRAS=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements-build.lock ./
RUN python3 -m venv /opt/build \
 && /opt/build/bin/pip install -q --require-hashes -r requirements-build.lock
COPY requirements.lock requirements-postgres.lock requirements-otel.lock ./
RUN set -eu; cp requirements.lock chosen.lock; \
    for extra in ${EXTRAS}; do cat "requirements-${extra}.lock" >> chosen.lock; done; \
    /opt/build/bin/pip download -q --require-hashes --only-binary :all: --dest /wheels -r chosen.lock
COPY pyproject.toml README.md LICENSE ./
COPY service ./service
RUN /opt/build/bin/pip wheel -q --no-deps --no-build-isolation --wheel-dir /wheels .

# The environment they make: without pip, and compiled. Bytecode that does not look at its source's time stays valid when
# a builder sets the time of every file.
FROM wheels AS venv
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_NO_DEPS=1 PIP_NO_COMPILE=1 PIP_PYTHON=/opt/relay/bin/python
RUN python3 -m venv --without-pip /opt/relay \
 && /opt/build/bin/pip install -q --require-hashes -r chosen.lock \
 && /opt/build/bin/pip install -q vercel-image-relay \
 && /opt/relay/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/relay/lib

# What is in it, as CycloneDX.
FROM venv AS inventory
RUN /opt/build/bin/cyclonedx-py environment --output-reproducible --spec-version 1.6 --output-format JSON \
    --pyproject pyproject.toml --mc-type application --output-file /sbom.cdx.json /opt/relay/bin/python

# `--target sbom --output .` writes it to a file.
FROM scratch AS sbom
COPY --from=inventory /sbom.cdx.json /sbom.cdx.json

FROM ${BASE}
# The slim images come without the standard library's bytecode; on a read-only root, every start and every health check
# would compile it anew.
RUN python3 -m compileall -q -x '/(test|tests|idlelib|lib2to3|tkinter|turtledemo|dist-packages|site-packages)/' \
        "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && groupadd --gid 10001 relay \
 && useradd --no-log-init --uid 10001 --gid 10001 --home-dir /var/lib/relay --shell /usr/sbin/nologin relay \
 && install -d -o 10001 -g 10001 -m 0750 /var/lib/relay \
 && install -d -o 10001 -g 10001 -m 0755 /run/relay
COPY --from=venv /opt/relay /opt/relay
COPY --from=inventory /sbom.cdx.json /usr/share/doc/vercel-image-relay/sbom.cdx.json
COPY LICENSE /usr/share/doc/vercel-image-relay/LICENSE
# What `image-relay --version` names. After all that takes time or room: a new revision makes one file anew.
ARG REVISION=""
RUN echo "${REVISION}" \
    > "$(/opt/relay/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/service/COMMIT"
ENV PATH=/opt/relay/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    RELAY_HOST=0.0.0.0 \
    RELAY_LOG=json
USER 10001:10001
# relay.yaml is looked for here, and without `store:` the database goes here.
WORKDIR /var/lib/relay
VOLUME /var/lib/relay
EXPOSE 8080
# ping itself waits five seconds, and asks where RELAY_PORT, RELAY_UDS or relay.yaml say that the relay listens.
HEALTHCHECK --interval=15s --timeout=6s --start-period=30s CMD ["image-relay", "ping"]
STOPSIGNAL SIGTERM
# Python is process 1: it takes signals, and orphans' ends, itself.
ENTRYPOINT ["image-relay"]
CMD ["serve"]
# Last, so that they make no layer anew.
ARG VERSION=""
ARG CREATED=""
ARG SOURCE=""
ARG BASE
LABEL org.opencontainers.image.title="vercel-image-relay" \
      org.opencontainers.image.description="Signed webhooks in, Vercel image cache purges out" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${BASE}"
