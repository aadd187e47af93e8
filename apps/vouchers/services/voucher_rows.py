"""Writing the rows of new vouchers: the vouchers, each with a code of its own, and the first row of their history.

What all of them have in common stands in one Voucher and one VoucherEvent, neither of them saved. There are two forms,
with the same outcome: one statement on PostgreSQL, two by the ORM elsewhere.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from django.db import IntegrityError, connection, transaction

from apps.core.inserts import columns_of, values_of
from apps.core.static_sql import StaticSql
from apps.vouchers import codes
from apps.vouchers.models import Voucher, VoucherEvent

CODE_TRIES: Final = 3
_NAMES: Final = [str(field.attname) for field in Voucher._meta.concrete_fields]

_SQL: Final = """
    WITH issued AS (
        -- The vouchers, in the order in which their codes were drawn. A code that exists already makes none.
        INSERT INTO {voucher} (code, {voucher_columns})
        SELECT drawn.code, {voucher_values}
        FROM unnest(%s::text[]) WITH ORDINALITY AS drawn (code, place)
        ORDER BY drawn.place
        ON CONFLICT (code) DO NOTHING
        RETURNING id, code
    ), history AS (
        -- The first row of each one's history.
        INSERT INTO {event} (voucher_id, {event_columns})
        SELECT issued.id, {event_values} FROM issued ORDER BY issued.id
    )
    SELECT id, code FROM issued ORDER BY id
"""


def insert_vouchers(voucher: Voucher, event: VoucherEvent, quantity: int) -> list[Voucher]:
    """Insert `quantity` vouchers like `voucher`, each with an event like `event`; the vouchers, by primary key.

    For a code that exists already others are drawn, up to CODE_TRIES times. After that it raises IntegrityError, and
    the caller's transaction, in which nothing may be kept, is to be rolled back.
    """
    in_one = connection.vendor == "postgresql"
    return (insert_by_one_statement if in_one else insert_by_orm)(voucher, event, quantity)


def insert_by_one_statement(voucher: Voucher, event: VoucherEvent, quantity: int) -> list[Voucher]:
    """`insert_vouchers` on PostgreSQL. Of codes that exist already only these are drawn anew."""
    voucher_values = values_of(voucher, without=("id", "code"))
    event_values = values_of(event, without=("id", "voucher_id"))
    rows: list[tuple[int, str]] = []
    # One transaction for all tries. Within the caller's it is no savepoint: that would be two round trips more.
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        for _ in range(CODE_TRIES):
            drawn = [codes.make() for _ in range(quantity - len(rows))]
            cursor.execute(_sql(), [*voucher_values, drawn, *event_values])
            rows += cursor.fetchall()
            if len(rows) == quantity:
                return [_with_code(voucher, code, pk) for pk, code in rows]
        raise IntegrityError("The codes that were drawn exist already.")


def insert_by_orm(voucher: Voucher, event: VoucherEvent, quantity: int) -> list[Voucher]:
    """`insert_vouchers` on any database. If one code exists already, all are drawn anew."""
    for tries_left in reversed(range(CODE_TRIES)):
        try:
            with transaction.atomic():
                vouchers = [_with_code(voucher, codes.make()) for _ in range(quantity)]
                Voucher.objects.bulk_create(vouchers)
                events = [
                    VoucherEvent(
                        voucher=issued,
                        kind=event.kind,
                        at=event.at,
                        actor_id=event.actor_id,
                        reason=event.reason,
                    )
                    for issued in vouchers
                ]
                VoucherEvent.objects.bulk_create(events)
                return vouchers
        except IntegrityError:
            if not tries_left:
                raise
    raise AssertionError("unreachable")


@lru_cache(maxsize=1)
def _sql() -> StaticSql:
    voucher_columns = columns_of(Voucher, without=("id", "code"))
    event_columns = columns_of(VoucherEvent, without=("id", "voucher_id"))
    text = _SQL.format(
        voucher=Voucher._meta.db_table,
        voucher_columns=", ".join(voucher_columns),
        voucher_values=", ".join(["%s"] * len(voucher_columns)),
        event=VoucherEvent._meta.db_table,
        event_columns=", ".join(event_columns),
        event_values=", ".join(["%s"] * len(event_columns)),
    )
    return StaticSql(text)


def _with_code(voucher: Voucher, code: str, pk: int | None = None) -> Voucher:
    """A voucher like `voucher` with this code: one that is in the database, if it has a primary key."""
    own = {"id": pk, "code": code}
    values = [own.get(name, vars(voucher)[name]) for name in _NAMES]
    if pk is not None:
        return Voucher.from_db(connection.alias, _NAMES, values)
    new: Callable[..., Voucher] = Voucher  # mypy's plugin takes the whole list for the first column's value
    return new(*values)
