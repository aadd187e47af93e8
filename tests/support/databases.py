"""Copies of the tests' database, for a process that is to have one of its own without migrating it anew."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from .runner import home
from .server import database_url


@contextmanager
def database_copy(name: str) -> Iterator[str]:
    """A copy of the tests' database as it is now, under this name; its address. It is gone afterwards.

    Nobody else may be connected to the database.
    """
    connection.close()  # PostgreSQL copies what nobody uses; SQLite's write-ahead log goes into the file
    of = connection.settings_dict
    if connection.vendor == "sqlite":
        file = home() / f"{name}.sqlite3"
        shutil.copy(of["NAME"], file)
        yield f"sqlite:///{file}"
        file.unlink()
        return
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{of["NAME"]}"')
    try:
        yield database_url().rpartition("/")[0] + f"/{name}"
    finally:
        with connection._nodb_cursor() as cursor:
            cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
