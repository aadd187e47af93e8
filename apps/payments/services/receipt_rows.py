"""Drawing the numbers of receipts, and writing their rows.

The counter's row is locked by the number that is drawn, until the caller commits: who comes next waits, and where the
caller rolls back the number is drawn again. So there is no gap, and the draw is the last thing before the commit.

There are two forms for a single receipt, with the same outcome: one statement on PostgreSQL, three by the ORM
elsewhere.
"""

from collections.abc import Sequence
from functools import cache
from typing import Final

from django.db import connection
from django.db.models import F, Max

from apps.core.inserts import columns_of, values_of
from apps.core.static_sql import StaticSql
from apps.payments.models import Receipt, ReceiptCounter

ROW: Final = 1  # the counter's only one
_NOT_SENT: Final = ("id", "number")

# Where the counter is missing, it begins after the last receipt.
_SQL: Final = """
    WITH counter AS (
        INSERT INTO payments_receiptcounter (id, last_number)
        VALUES ({row}, (SELECT COALESCE(MAX(number), 0) + 1 FROM payments_receipt))
        ON CONFLICT (id) DO UPDATE SET last_number = payments_receiptcounter.last_number + 1
        RETURNING last_number
    )
    INSERT INTO payments_receipt (number, {columns}) SELECT last_number, {values} FROM counter
    RETURNING id, number
"""


def insert_receipt(receipt: Receipt) -> None:
    """Insert a receipt under the next number. Raises IntegrityError if its transaction has one already."""
    (insert_in_one_statement if connection.vendor == "postgresql" else insert_by_orm)(receipt)


def insert_in_one_statement(receipt: Receipt) -> None:
    """`insert_receipt` on PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute(_sql(), values_of(receipt, without=_NOT_SENT))
        receipt.pk, receipt.number = cursor.fetchone()
    receipt._state.adding, receipt._state.db = False, connection.alias


def insert_by_orm(receipt: Receipt) -> None:
    """`insert_receipt` on any database."""
    (receipt.number,) = _draw(1)
    receipt.save(force_insert=True)


def insert_receipts(receipts: Sequence[Receipt]) -> None:
    """Insert several receipts, under consecutive numbers in their order."""
    for number, receipt in zip(_draw(len(receipts)), receipts, strict=True):
        receipt.number = number
    Receipt.objects.bulk_create(receipts)


def _draw(how_many: int) -> range:
    """The next numbers; the counter's row is locked by the update."""
    row = ReceiptCounter.objects.filter(pk=ROW)
    if not row.update(last_number=F("last_number") + how_many):
        last = Receipt.objects.aggregate(last=Max("number"))["last"] or 0
        ReceiptCounter.objects.create(pk=ROW, last_number=last + how_many)
    last = row.values_list("last_number", flat=True).get()
    return range(last - how_many + 1, last + 1)


@cache
def _sql() -> StaticSql:
    columns = columns_of(Receipt, without=_NOT_SENT)
    values = ", ".join(["%s"] * len(columns))
    return StaticSql(_SQL.format(row=ROW, columns=", ".join(columns), values=values))
