"""Transactions that read one moment."""

from typing import Any
from unittest import skipUnless

from django.db import connection, transaction

from apps.core.snapshots import one_moment
from tests.support.cases import CommittingTestCase


def characteristics() -> Any:
    """The isolation of the transaction, and whether it only reads."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')"
        )
        return cursor.fetchone()


@skipUnless(connection.vendor == "postgresql", "SQLite's transactions are all of one kind")
class SnapshotTests(CommittingTestCase):
    def test_it_reads_one_moment_and_the_next_transaction_is_as_any_other(self) -> None:
        for fails in (False, True):
            with self.subTest(fails=fails):
                try:
                    with one_moment():
                        self.assertEqual(characteristics(), ("repeatable read", "on"))
                        if fails:
                            raise ZeroDivisionError
                except ZeroDivisionError:
                    pass
                self.assertEqual(characteristics(), ("read committed", "off"))
                with transaction.atomic():
                    self.assertEqual(characteristics(), ("read committed", "off"))

    def test_inside_a_transaction_that_one_stays_as_it_is(self) -> None:
        with transaction.atomic(), one_moment():
            self.assertEqual(characteristics(), ("read committed", "off"))
