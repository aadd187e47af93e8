"""Past the pooler, to PostgreSQL itself: for what changes the settings of its session."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper


class NoDirectAddress(Exception):
    """A pooler stands before PostgreSQL, and DATABASE_DIRECT_URL does not say where that is."""

    def __init__(self) -> None:
        super().__init__(
            "DATABASE_POOLED is True: name PostgreSQL itself in DATABASE_DIRECT_URL, a pooler can't be used for this."
        )


@contextmanager
def direct_connection(connection: BaseDatabaseWrapper, *, settings_of_session: str = "") -> Iterator[None]:
    """Have `connection` lead to PostgreSQL itself for the block.

    `settings_of_session` are added to those with which it begins, such as "-c lock_timeout=300". The connection is
    closed before and after. Without a pooler it leads where it did, and stays open where nothing is added. Raises
    NoDirectAddress.
    """
    if not connection.settings_dict.get("POOLED") and not settings_of_session:
        yield
        return
    before = connection.settings_dict
    target = before
    if before.get("POOLED"):
        if not settings.DATABASE_DIRECT:
            raise NoDirectAddress
        target = {**before, **settings.DATABASE_DIRECT}
    options = f"{target['OPTIONS'].get('options', '')} {settings_of_session}".strip()
    connection.close()
    # A new dictionary, because the connections of all threads share the old one.
    connection.settings_dict = {**target, "OPTIONS": {**target["OPTIONS"], "options": options}}
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict = before
