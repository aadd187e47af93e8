"""The statement of redeem.sql for Django's cursor, with the parameters `code` and `user` for what pgbench chooses."""

from pathlib import Path

_TEXT = Path(__file__).with_name("redeem.sql").read_text()
REDEEM = (
    _TEXT[_TEXT.index("WITH ") :]
    .replace("(SELECT code FROM bench_code WHERE number = :number)", "%(code)s")
    .replace(":user", "%(user)s")
)
PREPARE = f"PREPARE redeem AS {REDEEM % {'code': '$1', 'user': '$2'}}"
COLUMNS = ("id", "service_type", "used_at", "use_no")  # of its one row; it has none where no use was left
