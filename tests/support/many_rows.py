"""Thousands of rows for tests of plans and of long lists, by a statement a table: through models, to make them takes
ten times as long.

A column with a default in the database is left out; each that is added has one (tests/test_migrations.py).
"""

import csv
from collections.abc import Iterable
from datetime import timedelta
from io import StringIO
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from apps.users.models import User
from apps.users.tests.factories import make_staff, make_user
from apps.vouchers import codes
from apps.vouchers.states import Hold
from apps.vouchers.tests.factories import held, make_type

IS_POSTGRESQL: Final = connection.vendor == "postgresql"
RANDOM_UUID: Final = "gen_random_uuid()" if IS_POSTGRESQL else "lower(hex(randomblob(16)))"
DAYS_OF_SESSIONS: Final = 9


def fill(
    mine: int, everyone: int, *, owners: int = 10, spacing: timedelta = timedelta(seconds=1)
) -> tuple[User, User]:
    """Somebody with `mine` vouchers, among `everyone`'s of so many owners, and staff. Each seven were bought `spacing`
    after others."""
    now = timezone.now()
    owner, staff = make_user(), make_staff()
    others = [make_user() for _ in range(owners)]
    kinds = [make_type(name=f"Kind {number}", service_type=f"service_{number}") for number in range(4)]
    free, suspended = held(), held(Hold.SUSPENDED)

    def row(number: int) -> dict[str, Any]:
        kind = kinds[3] if number % 200 == 5 else kinds[number % 3]
        return {
            "code": codes.make(),
            "user_id": (owner if number % (everyone // mine) == 0 else others[number % owners]).pk,
            "voucher_type_id": kind.pk,
            "service_type": kind.service_type,
            "face_value": kind.price,
            "currency": kind.currency,
            "purchase_date": _moment(now - number // 7 * spacing),  # several at one instant, as a batch has
            "expiry_date": _moment(now + timedelta(days=number * 7919 % 400 - 100)),
            "total_uses": kind.max_uses,
            "uses_remaining": int(number % 3 > 0),
            **(suspended if number % 100 == 7 else free),
        }

    _insert("vouchers_voucher", map(row, range(everyone)))
    _execute(
        """
        INSERT INTO vouchers_voucherusage (voucher_id, user_id, service_type, used_at, use_no, details)
        SELECT id, user_id, service_type, purchase_date, 1, '{}'
        FROM vouchers_voucher WHERE uses_remaining = 0 ORDER BY id
        """
    )
    return owner, staff


def sell(staff: User) -> None:
    """A purchase for each voucher, its first event, and a session of its owner; every fifth use is reversed."""
    now = timezone.now()
    _execute(
        f"""
        INSERT INTO payments_transaction (
            reference, user_id, voucher_type_id, quantity, unit_price, amount, currency, service_type, validity_days,
            max_uses, status, stripe_payment_intent_id, amount_refunded, created_at, updated_at, completed_at
        )
        SELECT {RANDOM_UUID}, user_id, voucher_type_id, 1, face_value, face_value, currency, service_type, 1,
            1, 'completed', 'pi_' || id, 0, purchase_date, %s, purchase_date
        FROM vouchers_voucher ORDER BY id
        """,
        _moment(now),
    )
    _execute(
        """
        INSERT INTO payments_soldvoucher (transaction_id, line_no, voucher_id)
        SELECT paid.id, 1, voucher.id
        FROM vouchers_voucher voucher
        JOIN payments_transaction paid ON paid.stripe_payment_intent_id = 'pi_' || voucher.id
        ORDER BY voucher.id
        """
    )
    _execute(
        """
        INSERT INTO vouchers_voucherevent (voucher_id, kind, hold, at, reason, details)
        SELECT id, 'issued', '', purchase_date, '', '{}' FROM vouchers_voucher ORDER BY id
        """
    )
    expiries = [_moment(now + timedelta(days=days)) for days in range(DAYS_OF_SESSIONS)]
    whens = " ".join(f"WHEN {days} THEN {_MOMENT}" for days in range(DAYS_OF_SESSIONS))
    _execute(
        f"""
        INSERT INTO authentication_session (
            id, user_id, refresh_jti, auth_hash, created_at, refreshed_at, expires_at
        )
        SELECT {RANDOM_UUID}, user_id, 'x', 'x', %s, %s, CASE (number - 1) %% {DAYS_OF_SESSIONS} {whens} END
        FROM (SELECT user_id, row_number() OVER (ORDER BY id) AS number FROM vouchers_voucher) numbered
        ORDER BY number
        """,
        _moment(now),
        _moment(now),
        *expiries,
    )
    _execute(
        """
        INSERT INTO vouchers_usagereversal (usage_id, reversed_at, actor_id, reason)
        SELECT id, %s, %s, 'A slip'
        FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM vouchers_voucherusage) numbered
        WHERE number %% 5 = 1 ORDER BY number
        """,
        _moment(now),
        staff.pk,
    )


# The database does not know the type of a parameter in a CASE.
_MOMENT: Final = "%s::timestamptz" if IS_POSTGRESQL else "%s"


def _moment(at: Any) -> Any:
    """As the database keeps it."""
    return connection.ops.adapt_datetimefield_value(at)


def _execute(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def _insert(table: str, rows: Iterable[dict[str, Any]]) -> None:
    """Rows that all have the same columns, none of them NULL."""
    first, *rest = rows
    names = ", ".join(first)
    values = [tuple(row.values()) for row in (first, *rest)]
    with connection.cursor() as cursor:
        if IS_POSTGRESQL:
            text = StringIO()
            csv.writer(text, quoting=csv.QUOTE_ALL).writerows(values)  # so that an empty text is none of NULL
            text.seek(0)
            cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN (FORMAT csv)", text)
        else:
            cursor.executemany(
                f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(first))})", values
            )
