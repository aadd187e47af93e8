"""A PgBouncer before the tests' PostgreSQL: `manage.py test --pooled`, and tests that start one of their own."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from glob import glob
from io import StringIO
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

CLIENTS: Final = 400
CONNECTIONS: Final = 20
OF_THE_SERVER: Final = ("HOST", "PORT", "OPTIONS", "POOLED")  # what of a connection says where it leads
PORT: Final = 6432  # in the name of the socket alone: no port of the machine is taken

CONFIGURATION: Final = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_port = {listen}
unix_socket_dir = {folder}
pidfile = {folder}/pgbouncer.pid
logfile = {folder}/pgbouncer.log
auth_type = any
pool_mode = transaction
max_client_conn = {clients}
listen_backlog = {clients}
default_pool_size = {connections}
"""


def pooler_program() -> str | None:
    """The machine's PgBouncer; None where there is none."""
    return shutil.which("pgbouncer") or next(iter(glob("/usr/sbin/pgbouncer")), None)


def start_pooler(
    database_url: str, folder: Path, *, user: str | None = None, connections: int = CONNECTIONS
) -> str:
    """Start a PgBouncer in `folder`, before the PostgreSQL at this address, as `user`; the address through it.

    It writes `folder`/pgbouncer.pid. Ends the process where there is no PgBouncer, or it does not start.
    """
    program = pooler_program()
    if program is None:
        sys.exit("There is no pgbouncer on this machine.")
    address = urlsplit(database_url)
    (folder / "pgbouncer.ini").write_text(
        CONFIGURATION.format(
            host=unquote(address.hostname or "") or "127.0.0.1",
            port=address.port or 5432,
            user=address.username or "postgres",
            listen=PORT,
            folder=folder,
            clients=CLIENTS,
            connections=connections,
        )
    )
    with (folder / "pgbouncer.out").open("w") as log:
        server = subprocess.Popen(
            [program, folder / "pgbouncer.ini"], stdout=log, stderr=log, user=user, start_new_session=True
        )
    deadline = time.monotonic() + 10
    while not _is_up(folder):
        if server.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"pgbouncer did not start: {(folder / 'pgbouncer.out').read_text()}")
        time.sleep(0.01)
    return f"postgresql://{address.username or 'postgres'}@{quote(str(folder), safe='')}:{PORT}{address.path}"


def _is_up(folder: Path) -> bool:
    """Whether it accepts connections (its socket is there a moment before) and has written its process id."""
    with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
        client.connect(str(folder / f".s.PGSQL.{PORT}"))
        return bool((folder / "pgbouncer.pid").read_text().strip())
    return False


def stop_pooler(folder: Path) -> None:
    """End the PgBouncer that was started in `folder`."""
    os.kill(int((folder / "pgbouncer.pid").read_text()), 9)


def setup_databases(setup: Callable[..., Any], **options: Any) -> Any:
    """Make the tests' databases past the pooler, by Django's `setup`, and set the time limits of the role in them.

    PostgreSQL copies and drops only a database to which nobody is connected, and a pooler keeps its connections.
    """
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    through = {name: connection.settings_dict[name] for name in OF_THE_SERVER}
    _lead_to_postgresql()
    databases = setup(**options)
    connection.close()
    settings.DATABASE_DIRECT["NAME"] = connection.settings_dict["NAME"]
    connection.settings_dict |= through
    call_command("prepare_database", stdout=StringIO())
    return databases


def end_connections() -> None:
    """Lead to PostgreSQL itself again, and end what the pooler keeps open, so that databases can be dropped."""
    from django.db import connection

    _lead_to_postgresql()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
    connection.close()


def _lead_to_postgresql() -> None:
    from django.conf import settings
    from django.db import connection

    connection.close()
    connection.settings_dict |= {name: settings.DATABASE_DIRECT[name] for name in OF_THE_SERVER}
