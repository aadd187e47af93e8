"""Redeeming in one statement of PostgreSQL: the use, its row, and the answer to whoever redeemed.

The answer is made here, and not from the rows that come back, because with an Idempotency-Key it is kept with the use:
one statement is one transaction, with no round trip for BEGIN and COMMIT. It is the document of
`documents.redeem_document`, member by member; tests/test_redeem_forms.py compares the two byte for byte.
"""

from collections.abc import Mapping
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from apps.core.api.documents import json_bytes
from apps.core.idempotency import RequestKey
from apps.core.static_sql import StaticSql
from apps.vouchers import codes
from apps.vouchers.documents import REDEEMED


def _utc(moment: str) -> str:
    """SQL for a time as `utc_text` writes it."""
    written = f"""to_char({moment} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    return f"replace({written}, '.000000Z', 'Z')"


_SOLD_AS: Final = "COALESCE(NULLIF(taken.type_name, ''), type.name)"

# Each member is SQL for a text, an integer, a boolean, or JSON.
_ANSWER: Final[dict[str, Any]] = {
    "message": "%(message)s::text",
    "voucher": {
        "code": "%(shown_code)s::text",
        "voucher_type": {
            "id": "type.id",
            "name": _SOLD_AS,
            "description": "type.description",
            "price": "type.price::text",
            "currency": "type.currency",
            "service_type": "taken.service_type",
            "validity_days": "type.validity_days",
            "max_uses": "type.max_uses",
            "is_active": "type.is_active",
        },
        "status": "CASE WHEN taken.uses_remaining = 0 THEN 'used'"
        " WHEN taken.expiry_date <= taken.at THEN 'expired' ELSE 'active' END",
        "is_active": "taken.is_active",
        "is_valid": "taken.uses_remaining > 0 AND taken.expiry_date > taken.at",
        "inactive_reason": "taken.inactive_reason",
        "purchase_date": _utc("taken.purchase_date"),
        "expiry_date": _utc("taken.expiry_date"),
        "days_until_expiry": "GREATEST(0, (taken.expiry_date AT TIME ZONE %(time_zone)s)::date"
        " - (taken.at AT TIME ZONE %(time_zone)s)::date)",
        "uses_remaining": "taken.uses_remaining",
        "total_uses": "taken.total_uses",
        "face_value": "taken.face_value::text",
        "currency": "taken.currency",
    },
    "usage": {
        "id": "taken.usage_id",
        "voucher_code": "%(shown_code)s::text",
        "voucher_type_name": _SOLD_AS,
        "service_type": "taken.service_type",
        "used_at": _utc("taken.used_at"),
        "details": "%(details)s::json",
        "use_no": "taken.use_no",
        "service_data": "%(details)s::json",
    },
}


def _document(members: Mapping[str, Any]) -> tuple[str, list[str]]:
    """A JSON object with a `%s` in the place of each value, and SQL for these values in their order."""
    frames, values = [], []
    for name, member in members.items():
        frame, inner = _document(member) if isinstance(member, dict) else ("%s", [f"to_json({member})"])
        frames.append(f'"{name}":{frame}')
        values += inner
    return "{" + ",".join(frames) + "}", values


def _answer() -> str:
    """SQL for the text of the answer."""
    frame, values = _document(_ANSWER)
    text = f"format('{frame.replace('%s', '%%s')}', {', '.join(values)})"
    # These two end a line in older JavaScript, within a text too.
    return rf"replace(replace({text}, chr(8232), '\u2028'), chr(8233), '\u2029')"


# With details, the user's row first: who closes the account waits for this statement, or was first, and then nothing is
# taken. So what the user writes is there when the account is closed, and erased with it.
_AUTHOR: Final = "author AS (SELECT id FROM users_user WHERE id = %(user_id)s AND is_active FOR SHARE),"

_REDEEM: Final = """
WITH {author}
-- Take a use. Every condition stands on the voucher's own row: after a wait PostgreSQL re-evaluates only those.
updated AS (
    UPDATE vouchers_voucher AS voucher
    SET uses_remaining = voucher.uses_remaining - 1
    {from_author}
    WHERE voucher.code = %(code)s
        AND voucher.is_active
        AND voucher.uses_remaining > 0
        AND voucher.expiry_date > statement_timestamp()
        AND (%(service_type)s::text IS NULL OR voucher.service_type = %(service_type)s)
    RETURNING voucher.*, clock_timestamp() AS at
),
-- Number the use by the counter that was just changed. It is in time, however long the statement waited for the row.
taken AS (
    SELECT
        updated.*,
        nextval('vouchers_voucherusage_id_seq') AS usage_id,
        total_uses - uses_remaining + uses_reversed AS use_no,
        LEAST(at, expiry_date) AS used_at
    FROM updated
),
-- Word the answer. A voucher's type is there: a foreign key holds it.
answered AS (
    SELECT taken.*, {answer} AS answer
    FROM taken JOIN vouchers_vouchertype AS type ON type.id = taken.voucher_type_id
),
-- Record the use; with a key, its answer too.
recorded AS (
    INSERT INTO vouchers_voucherusage
        (id, voucher_id, user_id, service_type, used_at, details, use_no, idempotency_key, request_hash, answer)
    SELECT
        usage_id, id, %(user_id)s, service_type, used_at, %(details)s::jsonb, use_no, %(key)s::text, %(request_hash)s,
        CASE WHEN %(key)s::text IS NOT NULL THEN to_jsonb(answer) END
    FROM answered
)
SELECT answer FROM answered
"""


_BY_ANYBODY: Final = StaticSql(_REDEEM.format(answer=_answer(), author="", from_author=""))
_BY_OPEN_ACCOUNT: Final = StaticSql(
    _REDEEM.format(answer=_answer(), author=_AUTHOR, from_author="FROM author")
)


def execute(
    *,
    symbols: str,
    user_id: int,
    service_type: str | None,
    details: Mapping[str, Any],
    key: RequestKey | None,
) -> str | None:
    """Take one use of the voucher with these 16 symbols. The answer's text, or None if nothing was taken.

    With `details`, nothing is taken for a closed account. Raises IntegrityError if the key was used before.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _BY_OPEN_ACCOUNT if details else _BY_ANYBODY,
            {
                "message": REDEEMED,
                "code": symbols,
                "shown_code": codes.format_code(symbols),
                "user_id": user_id,
                "service_type": service_type,
                "details": json_bytes(details).decode(),
                "time_zone": timezone.get_current_timezone_name(),
                "key": key.key if key else None,
                "request_hash": key.request_hash if key else "",
            },
        )
        row = cursor.fetchone()
    return row[0] if row else None
