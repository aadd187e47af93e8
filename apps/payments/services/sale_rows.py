"""Writing that a transaction is completed: its row, and a row for each voucher that was issued for it.

There are two forms, with the same outcome: one statement on PostgreSQL, two by the ORM elsewhere.
"""

from collections.abc import Sequence
from typing import Final

from django.db import connection

from apps.core.static_sql import StaticSql
from apps.payments.models import SoldVoucher, Transaction
from apps.vouchers.models import Voucher

# What a completion changes in the transaction's row.
CHANGED: Final = (
    "status",
    "completed_at",
    "updated_at",
    "type_name",
    "buyer_name",
    "buyer_email",
    "start_counted",
)

_TEXT: Final = """
    WITH sold AS (
        -- The vouchers in the order of the transaction's lines.
        INSERT INTO payments_soldvoucher (transaction_id, line_no, voucher_id)
        SELECT %s, line.line_no, line.voucher_id
        FROM unnest(%s::bigint[]) WITH ORDINALITY AS line (voucher_id, line_no)
    )
    UPDATE payments_transaction SET {changes} WHERE id = %s
""".format(changes=", ".join(f"{name} = %s" for name in CHANGED))  # noqa: S608 - names of columns
_SQL: Final = StaticSql(_TEXT)


def write_sale(paid: Transaction, vouchers: Sequence[Voucher]) -> None:
    """Write the vouchers of a transaction, in the order of its lines, and what its completion CHANGED in it.

    The caller has locked or inserted its row. Raises IntegrityError if there are vouchers of it already.
    """
    (write_in_one_statement if connection.vendor == "postgresql" else write_by_orm)(paid, vouchers)


def write_in_one_statement(paid: Transaction, vouchers: Sequence[Voucher]) -> None:
    """`write_sale` on PostgreSQL."""
    fields = {field.name: field for field in Transaction._meta.concrete_fields}
    changes = [fields[name].get_db_prep_save(getattr(paid, name), connection) for name in CHANGED]
    with connection.cursor() as cursor:
        cursor.execute(_SQL, [paid.pk, [voucher.pk for voucher in vouchers], *changes, paid.pk])


def write_by_orm(paid: Transaction, vouchers: Sequence[Voucher]) -> None:
    """`write_sale` on any database."""
    SoldVoucher.objects.bulk_create(
        SoldVoucher(transaction=paid, line_no=line_no, voucher=voucher)
        for line_no, voucher in enumerate(vouchers, start=1)
    )
    paid.save(update_fields=CHANGED)
