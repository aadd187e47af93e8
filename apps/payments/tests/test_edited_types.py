"""Staff edit a type while it is bought and paid for: each purchase has the old terms or the new, and keeps them."""

import time
from dataclasses import asdict, replace
from functools import partial
from typing import Any
from unittest import skipUnless
from unittest.mock import patch

from django.db import connection
from django.test import Client

from apps.payments import gateway
from apps.payments.models import Transaction
from apps.users.tests.factories import make_user
from apps.vouchers import services as voucher_services
from apps.vouchers.models import VoucherType
from apps.vouchers.tests.factories import make_type
from tests.support.books import broken_rules
from tests.support.cases import RaceTestCase

from .money import CONFIRM, INTENT, PaidTestCase

BEFORE = {"price": 10, "currency": "USD", "validity_days": 365, "max_uses": 1, "service_type": "exam"}
AFTER = {"price": 25, "currency": "EUR", "validity_days": 30, "max_uses": 3, "service_type": "school"}
LATER = {"price": 40, "currency": "GBP", "validity_days": 9, "max_uses": 7, "service_type": "visa"}

terms_of, issue_vouchers = voucher_services.terms_of, voucher_services.issue_vouchers


def terms_read_twice(voucher_type):
    """A broken twin: the price as it was first read, the other terms from a second look."""
    time.sleep(0.2)
    now = terms_of(VoucherType.objects.get(pk=voucher_type.pk))
    return replace(now, face_value=voucher_type.price)


def issue_on_the_terms_of_today(*, voucher_type_id, terms, **options):
    """A broken twin: what is paid for gets the terms that its type has by now."""
    today = terms_of(VoucherType.objects.get(pk=voucher_type_id))
    return issue_vouchers(voucher_type_id=voucher_type_id, terms=today, **options)


class EditOrBuyTests(PaidTestCase, RaceTestCase):
    def setUp(self):
        super().setUp()
        waiting = patch.object(gateway, "SLOT_WAIT", 30)
        waiting.start()
        self.addCleanup(waiting.stop)
        self.desk = Client()
        self.desk.force_login(self.staff)
        self.apis = [self.signed_in(make_user()) for _ in range(4)]

    def edit(self, kind, fields, delay=0.0):
        time.sleep(delay)
        form = {"description": "", "is_active": "on", **fields}
        return self.desk.post(f"/admin/vouchers/vouchertype/{kind.pk}/change/", form).status_code

    def race(self, delay=0.0):
        """One round: four start to buy at the instant of an edit, and confirm at that of another.

        What they were answered, the purchases on terms that there never were, and what the audit finds.
        """
        kind = make_type(**BEFORE)
        before, after, later = (
            {**fields, "name": f"{kind.name}{when}"}
            for fields, when in ((BEFORE, ""), (AFTER, ", after"), (LATER, ", later"))
        )
        body = {"voucher_type_id": kind.pk, "quantity": 2}
        *started, edited = self.together(
            *(partial(api.post, INTENT, body) for api in self.apis), partial(self.edit, kind, after, delay)
        )
        intents = [answer.json()["payment_intent_id"] for answer in started]
        for intent_id in intents:
            self.stripe.pay(intent_id)
        *confirmed, edited_again = self.together(
            *(
                partial(api.post, CONFIRM, {"payment_intent_id": intent_id})
                for api, intent_id in zip(self.apis, intents, strict=True)
            ),
            partial(self.edit, kind, later, delay),
        )
        statuses = [answer.status_code for answer in (*started, *confirmed)] + [edited, edited_again]
        allowed = [asdict(terms_of(VoucherType(**fields))) for fields in (before, after)]
        bought = [
            {
                "face_value": paid.unit_price,
                **{name: getattr(paid, name) for name in allowed[0] if name != "face_value"},
            }
            for paid in Transaction.objects.filter(voucher_type=kind)
        ]
        return statuses, [terms for terms in bought if terms not in allowed], broken_rules()

    RIGHT: Any = ([201] * 4 + [200] * 4 + [302] * 2, [], {})

    def test_each_purchase_has_the_terms_of_one_moment_and_keeps_them(self):
        for round_no in range(self.rounds):
            self.assertEqual(self.race(delay=round_no * 0.01), self.RIGHT, f"round {round_no}")

    @skipUnless(connection.vendor == "postgresql", "SQLite runs whole transactions one after the other")
    def test_the_same_race_catches_terms_that_are_read_twice(self):
        with patch.object(voucher_services, "terms_of", terms_read_twice):
            self.assertTrue(any(self.race(delay=0.1)[1] for _ in range(self.rounds)))

    def test_the_same_race_catches_vouchers_on_the_terms_of_today(self):
        with patch.object(voucher_services, "issue_vouchers", issue_on_the_terms_of_today):
            self.assertTrue(any("terms_of_sale" in self.race()[2] for _ in range(self.rounds)))
