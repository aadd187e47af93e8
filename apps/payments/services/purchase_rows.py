"""Writing the row of a purchase that begins, and the key of the request that began it.

There are two forms, with the same outcome: one statement on PostgreSQL, one for each row by the ORM elsewhere.
"""

from functools import lru_cache
from typing import Final

from django.db import connection

from apps.core.inserts import columns_of, values_of
from apps.core.static_sql import StaticSql
from apps.payments.models import IdempotencyKey, Transaction

_STARTED: Final = "INSERT INTO payments_transaction ({columns}) VALUES ({values}) RETURNING id"
_WITH_KEY: Final = """
    WITH started AS ({started}), request AS (
        INSERT INTO payments_idempotencykey (transaction_id, {columns}) SELECT started.id, {values} FROM started
    )
    SELECT id FROM started
"""


def insert_purchase(started: Transaction, key: IdempotencyKey | None) -> None:
    """Insert a transaction, and with it the key whose request it belongs to, if there is one.

    Raises IntegrityError if the user has such a key already, also one of a request at the same instant, for which this
    waits.
    """
    (insert_in_one_statement if connection.vendor == "postgresql" else insert_by_orm)(started, key)


def insert_in_one_statement(started: Transaction, key: IdempotencyKey | None) -> None:
    """`insert_purchase` on PostgreSQL."""
    values = values_of(started, without=("id",))
    if key is not None:
        values += values_of(key, without=("id", "transaction_id"))
    with connection.cursor() as cursor:
        cursor.execute(_sql(with_key=key is not None), values)
        (started.pk,) = cursor.fetchone()
    started._state.adding, started._state.db = False, connection.alias


def insert_by_orm(started: Transaction, key: IdempotencyKey | None) -> None:
    """`insert_purchase` on any database."""
    started.save(force_insert=True)
    if key is not None:
        key.transaction = started
        key.save(force_insert=True)


@lru_cache(maxsize=2)
def _sql(*, with_key: bool) -> StaticSql:
    columns = columns_of(Transaction, without=("id",))
    started = _STARTED.format(columns=", ".join(columns), values=", ".join(["%s"] * len(columns)))
    if not with_key:
        return StaticSql(started)
    columns = columns_of(IdempotencyKey, without=("id", "transaction_id"))
    text = _WITH_KEY.format(
        started=started, columns=", ".join(columns), values=", ".join(["%s"] * len(columns))
    )
    return StaticSql(text)
