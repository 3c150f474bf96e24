# syntax=docker/dockerfile:1
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
WORKDIR /src
COPY requirements.lock ./
# Only wheels whose hashes are in the lock file get in.
RUN python -m venv /opt/relay \
 && /opt/relay/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY service ./service
RUN /opt/relay/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps . \
 && /opt/relay/bin/python -m compileall -q /opt/relay/lib

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="vercel-image-relay" \
      org.opencontainers.image.description="Signed webhooks in, Vercel image cache purges out" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --system --uid 10001 --home-dir /var/lib/relay --create-home relay
COPY --from=build /opt/relay /opt/relay
ENV PATH=/opt/relay/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    RELAY_HOST=0.0.0.0 \
    RELAY_LOG=json \
    RELAY_STORE=sqlite:////var/lib/relay/relay.db
USER 10001
# relay.yaml is mounted here, unless the environment alone describes one source and one project.
WORKDIR /etc/relay
VOLUME /var/lib/relay
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s CMD ["image-relay", "ping"]
ENTRYPOINT ["image-relay"]
CMD ["serve"]
