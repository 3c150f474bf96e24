"""PgBouncer in transaction mode before the tests' PostgreSQL, where `RELAY_TEST_PGBOUNCER` says where it is."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

# Few connections to the server, so that clients really share them: two transactions of one client see two of them.
_INI = """\
[databases]
* = host={host} port=5432 user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
admin_users = postgres
server_login_retry = 1
query_wait_timeout = 3
pool_mode = transaction
default_pool_size = 6
max_client_conn = 500
max_prepared_statements = 0
logfile = {log}
"""


def program() -> str | None:
    """The command, None where the tests speak to PostgreSQL itself."""
    return os.environ.get("RELAY_TEST_PGBOUNCER")


@cache
def port(command: str, host: str, user: str | None) -> int:
    """A PgBouncer before the server whose socket is in the folder `host`; it ends with this process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        chosen = int(free.getsockname()[1])
    folder = Path(tempfile.mkdtemp(prefix="relay-pgbouncer-"))
    folder.chmod(0o777)  # the server's own user writes its log there
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    settings, log = folder / "pgbouncer.ini", folder / "pgbouncer.log"
    text = _INI.format(host=host, port=chosen, log=log)
    if "1.18" in subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout:
        text = text.replace("max_prepared_statements = 0\n", "")  # came with 1.21
    settings.write_text(text)
    settings.chmod(0o644)
    child = subprocess.Popen([command, str(settings)], user=user, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    atexit.register(_end, child)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", chosen), timeout=1).close()
        except OSError:
            assert child.poll() is None, log.read_text() if log.exists() else "PgBouncer does not start"
            time.sleep(0.02)
        else:
            return chosen
    raise AssertionError("PgBouncer does not listen")


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
