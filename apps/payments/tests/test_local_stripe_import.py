"""The local Stripe is told of payments that it does not know, as its file was lost or they were written past it."""

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings

from apps.payments import local_stripe_import
from tests.support.cases import ApiTestCase
from tests.support.server import free_port

from .money import PaidTestCase


class ImportTests(PaidTestCase, ApiTestCase):
    def known(self):
        """What the local Stripe says of the payments, but for what it draws anew."""
        return [
            (
                intent["id"],
                *(intent[name] for name in ("amount", "currency", "status", "amount_received", "metadata")),
                [
                    [refund[name] for name in ("id", "amount", "status", "metadata")]
                    for refund in self.stripe.refunds(intent["id"])
                ],
                [
                    [dispute[name] for name in ("id", "amount", "status", "reason")]
                    for dispute in self.stripe.disputes(intent["id"])
                ],
            )
            for intent in self.stripe.state.of_kind("payment_intent").values()
        ]

    def imported(self):
        return local_stripe_import.import_payments(self.stripe.base_url)

    def test_all_that_was_forgotten_comes_back_from_the_books(self):
        self.buy(2)
        self.refund(self.buy(1))
        disputed = self.stripe.dispute(self.buy(1).stripe_payment_intent_id)
        self.deliver(self.event_of(disputed["id"], "charge.dispute.created"))
        before = self.known()
        self.assertEqual(len(before), 3)
        self.assertEqual(self.imported(), 0)
        self.stripe.reset()
        self.assertEqual(self.imported(), 3)
        self.assertEqual(self.known(), before)
        self.assertEqual(self.stripe.events(), [])

    def test_many_are_told_in_portions_and_the_newest_alone_where_there_are_too_many(self):
        payments = [self.buy(1) for _ in range(3)]
        self.stripe.reset()
        portions: list[int] = []
        with (
            mock.patch.object(local_stripe_import, "AT_ONCE", 1),
            mock.patch.object(local_stripe_import, "MOST", 2),
        ):
            local_stripe_import.import_payments(self.stripe.base_url, portions.append)
        self.assertEqual(portions, [1, 1])
        expected = [payment.stripe_payment_intent_id for payment in payments[1:]]
        self.assertEqual(list(self.stripe.state.of_kind("payment_intent")), expected)

    def test_a_local_stripe_that_is_away_or_refuses_is_said(self):
        self.buy(1)
        with self.assertRaises(local_stripe_import.LocalStripeAway):
            local_stripe_import.import_payments(f"http://127.0.0.1:{free_port()}")
        self.stripe.reset()
        with (
            mock.patch.object(local_stripe_import, "_seconds", lambda moment: 0),
            self.assertRaisesRegex(local_stripe_import.LocalStripeAway, "created is 1 or more"),
        ):
            self.imported()


class StateFileTests(PaidTestCase, ApiTestCase):
    def setUp(self):
        super().setUp()
        self.folder = Path(self.enterContext(TemporaryDirectory()))
        self.file = self.folder / "db.sqlite3.stripe"
        self.enterContext(mock.patch.object(local_stripe_import, "state_file", lambda: self.file))

    def test_the_file_of_another_database_is_put_away(self):
        self.assertIsNone(local_stripe_import.drop_state_of_another_database())
        self.file.write_text("of a database that was deleted")
        backup = local_stripe_import.drop_state_of_another_database()
        self.assertEqual((backup, self.file.exists()), (self.folder / "db.sqlite3.stripe.old", False))
        self.buy(1)
        self.file.write_text("of this one")
        self.assertIsNone(local_stripe_import.drop_state_of_another_database())
        self.assertEqual(self.file.read_text(), "of this one")


class PlaceTests(ApiTestCase):
    def test_the_file_is_beside_the_database_or_in_the_project(self):
        for vendor, name, expected in (
            ("sqlite", "/srv/app/db.sqlite3", Path("/srv/app/db.sqlite3.stripe")),
            ("postgresql", "voucher", Path("/code/voucher.stripe")),
        ):
            with (
                mock.patch.object(connection, "vendor", vendor),
                mock.patch.dict(connection.settings_dict, NAME=name),
                override_settings(BASE_DIR=Path("/code")),
            ):
                self.assertEqual(local_stripe_import.state_file(), expected)

    def test_the_command_is_for_development_with_the_local_stripe(self):
        for settings in ({"DEBUG": False}, {"DEBUG": True, "STRIPE_SECRET_KEY": "sk_test_0123456789AbCdEf"}):
            with override_settings(**settings), self.assertRaisesRegex(CommandError, "DEBUG=True, and no"):
                call_command("local_stripe", port=free_port())
