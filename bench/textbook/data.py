"""Makes the twin's tables and loads them: `python -m bench.textbook.data DATABASE_URL --vouchers 100000 --seed 1`.

Prints what the load needs, as JSON: see README.md. PostgreSQL reads the rows by COPY, a chunk at a time, so millions
of rows take little memory; another database by INSERT.
"""

import argparse
import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import rows

CHUNK = 20_000  # rows of all tables together that are written at once
PASSWORD = "a bench pass phrase"
LARGE = ("shop_transaction", "shop_voucher", "shop_voucherusage", "shop_voucherevent")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database_url", help="of an empty database")
    parser.add_argument("--vouchers", type=int, default=100_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--codes", type=Path, help="the file for the redeemable codes")
    options = parser.parse_args()
    if options.vouchers < 60:
        parser.error("60 vouchers at least")
    os.environ["DATABASE_URL"] = options.database_url
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.textbook.settings"
    import django

    django.setup()
    from django.contrib.auth.hashers import make_password

    books = rows.Books(options.vouchers, options.seed, make_password(PASSWORD))
    load(books)
    codes = options.codes or Path(tempfile.mkdtemp(prefix="textbook-"), "codes.txt")
    books.random.shuffle(books.redeemable)
    codes.write_text("".join(f"{code}\n" for code in books.redeemable))
    answer = {name: rows.address(name) for name in rows.PEOPLE} | {
        "password": PASSWORD,
        "codes": str(codes),
        "race_codes": books.race_codes,
        "hot_code": books.hot_code,
        "detail_code": books.detail_code,
        "voucher_type": rows.ON_SALE[0].id,
    }
    print(json.dumps(answer))


def load(books: rows.Books) -> None:
    """Make the schema in the database of the settings, and write the rows."""
    from django.apps import apps
    from django.core.management import call_command
    from django.core.management.color import no_style
    from django.db import connection, transaction

    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        with transaction.atomic(), _bulk_load(cursor):
            chunk: dict[str, list[str]] = {table: [] for table in rows.COLUMNS}
            for number, (table, line) in enumerate(books.rows(), start=1):
                chunk[table].append(line)
                if number % CHUNK == 0:
                    _write(cursor, chunk)
            _write(cursor, chunk)
        models = list(apps.get_app_config("shop").get_models())
        for statement in connection.ops.sequence_reset_sql(no_style(), models):
            cursor.execute(statement)
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


@contextmanager
def _bulk_load(cursor: Any) -> Iterator[None]:
    """Don't look up each foreign key on PostgreSQL, and build the indexes of large tables afterwards, at once."""
    if cursor.db.vendor != "postgresql":
        yield
        return
    cursor.execute("SET LOCAL maintenance_work_mem = '256MB'")
    cursor.execute("SET LOCAL session_replication_role = replica")
    cursor.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
        " WHERE indrelid::regclass::text = ANY(%s)"
        " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)",
        [list(LARGE)],
    )
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    yield
    for _, definition in indexes:
        cursor.execute(definition)


def _write(cursor: Any, chunk: dict[str, list[str]]) -> None:
    """Write the lines of each table, and forget them. Tables are in an order in which each needs only those before."""
    for table, lines in chunk.items():
        if not lines:
            continue
        names = rows.COLUMNS[table].split()
        if cursor.db.vendor == "postgresql":
            text = io.StringIO("\n".join(lines) + "\n")
            cursor.copy_expert(f"COPY shop_{table} ({', '.join(names)}) FROM STDIN", text)
        else:
            places = ", ".join(["%s"] * len(names))
            statement = f"INSERT INTO shop_{table} ({', '.join(names)}) VALUES ({places})"
            cursor.executemany(statement, [line.split("\t") for line in lines])
        lines.clear()


if __name__ == "__main__":
    main()
