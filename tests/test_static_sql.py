"""Statements that PostgreSQL parses once for a connection: what is sent, and that nothing else is different."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import skipUnless

from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, ProgrammingError, connection, connections, transaction
from django.test import SimpleTestCase, TestCase
from django.test.utils import CaptureQueriesContext

from apps.core.prepared_queries import PreparedUpdate, _Prepared
from apps.core.static_sql import StaticSql
from tests.support.cases import CommittingTestCase

on_postgresql = skipUnless(
    connection.vendor == "postgresql" and not settings.DATABASE_POOLED, "nothing is prepared"
)

PAIR = StaticSql("SELECT %s::int, %s::text")
SUM = StaticSql("SELECT %(a)s::int + %(b)s::int + %(a)s::int, 100 %% 7")


def rows(sql: str, values: Any = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def prepared(sql: StaticSql) -> list[str]:
    """The texts of the prepared statements that this connection has for it."""
    statements = rows("SELECT statement FROM pg_prepared_statements WHERE name LIKE %s", [f"{sql.name}\\_%"])
    return [text for (text,) in statements]


class TextTests(SimpleTestCase):
    def test_places_become_numbers(self) -> None:
        for sql, numbered, places in (
            (StaticSql("SELECT 1"), "SELECT 1", ""),
            (StaticSql("SELECT '100%'"), "SELECT '100%'", ""),
            (StaticSql("SELECT %s, '5%%', '%%s'"), "SELECT $1, '5%', '%s'", "(%s)"),
            (StaticSql("SELECT %s, %s", numbers=[1, 1]), "SELECT $1, $1", "(%s)"),
            (SUM, "SELECT $1::int + $2::int + $1::int, 100 % 7", "(%s, %s)"),
        ):
            with self.subTest(str(sql)):
                self.assertEqual((sql.numbered, sql.places), (numbered, places))

    def test_each_value_is_sent_once(self) -> None:
        twice = StaticSql("%s %s %s", numbers=[1, 2, 1])
        self.assertEqual(twice.values([7, 8, 7]), [7, 8])
        self.assertEqual(SUM.values({"b": 2, "a": 1, "unused": 3}), [1, 2])
        self.assertEqual(PAIR.values((1, "x")), [1, "x"])

    def test_one_name_is_never_that_of_two_statements(self) -> None:
        """Also in two processes, whose connection a pooler may share."""
        same = [
            StaticSql("SELECT %s, %s", types=["int", "int"]),
            StaticSql("SELECT %s, %s", numbers=[1, 2], types=["int", "int"]),
        ]
        others = [
            StaticSql("SELECT %s, %s"),
            StaticSql("SELECT %s, %s", types=["int", "bigint"]),
            StaticSql("SELECT %s, %s", numbers=[1, 1], types=["int"]),
            StaticSql("SELECT %s,  %s", types=["int", "int"]),
        ]
        self.assertEqual(len({sql.name for sql in same}), 1)
        self.assertEqual(len({sql.name for sql in (*same, *others)}), 5)
        self.assertRegex(
            same[0].name, r"\Astatic_[0-9a-f]{24}\Z"
        )  # and a number behind it: 63 characters at most


@on_postgresql
class PreparedTests(TestCase):
    def test_it_is_prepared_once_and_gives_the_same_rows(self) -> None:
        for _ in range(7):  # beyond the executions after which PostgreSQL may plan for all values
            self.assertEqual(rows(PAIR, [7, "100%"]), [(7, "100%")])
            self.assertEqual(rows(SUM, {"a": 1, "b": 2}), [(4, 2)])
        self.assertEqual(prepared(PAIR), [f"PREPARE {PAIR.name}_0 AS SELECT $1::int, $2::text"])
        self.assertEqual(len(prepared(SUM)), 1)

    def test_who_looks_at_the_queries_sees_one_with_its_values(self) -> None:
        fresh = StaticSql("SELECT %s::text")
        with CaptureQueriesContext(connection) as captured:
            rows(fresh, ["it's"])
        self.assertEqual([each["sql"] for each in captured.captured_queries], ["SELECT 'it''s'::text"])

    def test_any_other_text_is_sent_as_it_is(self) -> None:
        number = rows("SELECT count(*) FROM pg_prepared_statements")
        rows(str(StaticSql("SELECT %s::int")), [1])
        self.assertEqual(rows("SELECT count(*) FROM pg_prepared_statements"), number)

    def test_one_that_can_not_be_parsed_is_an_error_each_time(self) -> None:
        wrong = StaticSql("SELECT nothing_of_this_name FROM users_user")
        for _ in range(2):
            with self.assertRaises(ProgrammingError), transaction.atomic():
                rows(wrong)

    def test_what_was_rolled_back_stays_prepared(self) -> None:
        fresh = StaticSql("SELECT 1 / %s::int")
        with self.assertRaisesMessage(Exception, "division by zero"), transaction.atomic():
            rows(fresh, [0])
        self.assertEqual(rows(fresh, [1]), [(1,)])
        self.assertEqual(len(prepared(fresh)), 1)

    def test_every_query_that_is_compiled_once_can_be_prepared(self) -> None:
        number = 0
        call_command("check")  # imports all views, and with them their queries
        modules = [module for name, module in sys.modules.items() if name.startswith("apps.")]
        values = [value for module in modules for value in vars(module).values()]
        for query in {value for value in values if isinstance(value, _Prepared)}:
            statement = query._statement()
            if not statement.is_static:
                continue
            forms = [statement.alone]
            if not isinstance(query, PreparedUpdate) and " LIMIT " not in statement.sql:
                forms.append(statement.limited)
            for sent in forms:
                number += 1
                with self.subTest(sent.sql):
                    assert isinstance(sent.sql, StaticSql)
                    types = f"({', '.join(sent.sql.types)})" if sent.sql.types else ""
                    rows_of_none(f"PREPARE tried_{number} {types} AS {sent.sql.numbered}")
        self.assertGreater(number, 30)


def rows_of_none(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@on_postgresql
class ChangedTableTests(CommittingTestCase):
    """A migration beside the running application changes the type of a column that a prepared statement reads."""

    @contextmanager
    def table(self) -> Iterator[StaticSql]:
        rows_of_none("CREATE TABLE tried (word varchar(5))")
        rows_of_none("INSERT INTO tried VALUES ('one')")
        try:
            yield StaticSql("SELECT word FROM tried WHERE word <> %s")
        finally:
            rows_of_none("DROP TABLE tried")

    def test_nobody_notices_outside_a_transaction(self) -> None:
        with self.table() as words:
            rows(words, ["x"])
            rows_of_none("ALTER TABLE tried ALTER word TYPE varchar(50)")
            self.assertEqual(rows(words, ["x"]), [("one",)])
            self.assertEqual(rows(words, ["one"]), [])

    def test_a_transaction_is_to_be_sent_again(self) -> None:
        with self.table() as words:
            rows(words, ["x"])
            rows_of_none("ALTER TABLE tried ALTER word TYPE varchar(50)")
            with self.assertRaises(OperationalError), transaction.atomic():
                rows(words, ["x"])
            with transaction.atomic():
                self.assertEqual(rows(words, ["x"]), [("one",)])

    def test_a_table_that_is_there_again_is_read_anew(self) -> None:
        with self.table() as words:
            rows(words, ["x"])
        with self.table():
            self.assertEqual(rows(words, ["x"]), [("one",)])


@on_postgresql
class ForgottenTests(CommittingTestCase):
    """The server's connection is not as we left it: something forgot what we prepared, or prepared it before us."""

    def setUp(self) -> None:
        super().setUp()
        connection.close()  # a new one: it has prepared nothing

    def forget(self) -> None:
        rows(PAIR, [1, "x"])
        rows_of_none("DISCARD ALL")

    def prepare_before(self) -> None:
        rows_of_none(f"PREPARE {PAIR.name}_0 AS {PAIR.numbered}")

    def test_nobody_notices_outside_a_transaction(self) -> None:
        for happen in (self.forget, self.prepare_before):
            with self.subTest(happen.__name__):
                connection.close()
                happen()
                for number in (1, 2):
                    self.assertEqual(rows(PAIR, [number, "x"]), [(number, "x")])

    def test_a_transaction_is_to_be_sent_again(self) -> None:
        for happen in (self.forget, self.prepare_before):
            with self.subTest(happen.__name__):
                connection.close()
                happen()
                with self.assertRaises(OperationalError), transaction.atomic():
                    rows(PAIR, [1, "x"])
                with transaction.atomic():
                    self.assertEqual(rows(PAIR, [2, "x"]), [(2, "x")])


@on_postgresql
class PoolerTests(SimpleTestCase):
    databases = {"default"}

    def test_behind_a_pooler_nothing_is_prepared(self) -> None:
        pooled = connections.create_connection("default")
        pooled.settings_dict = {**pooled.settings_dict, "POOLED": True}
        try:
            with pooled.cursor() as cursor:
                cursor.execute(SUM, {"a": 1, "b": 2})
                self.assertEqual(cursor.fetchall(), [(4, 2)])
                cursor.execute("SELECT count(*) FROM pg_prepared_statements")
                self.assertEqual(cursor.fetchall(), [(0,)])
        finally:
            pooled.close()
