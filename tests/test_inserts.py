"""Statements with fixed text insert what the ORM does, on every database."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone
from post_office.models import Email

from apps.core.inserts import columns_of, insert, values_of
from apps.payments.models import Transaction, TransactionStatus
from tests.support.cases import ApiTestCase


class InsertTests(ApiTestCase):
    def test_a_row_is_the_one_that_the_orm_writes(self):
        def mail(**values: Any) -> Email:
            return Email(from_email="a@example.com", to=["b@example.com"], subject="100 %", **values)

        for values in (
            {},
            {"message": "é", "headers": {"X-A": "%s"}, "context": {"attach": ["a", {"id": 1}]}, "status": 2},
            {"expires_at": timezone.now() + timedelta(days=1), "number_of_retries": 3, "message_id": "<1@a>"},
        ):
            with self.subTest(values):
                Email.objects.bulk_create([mail(**values)])
                with self.assertQueries(1):
                    insert(mail(**values))
                inserted, by_orm = Email.objects.order_by("-id").values()[:2]
                for name in ("id", "created", "last_updated"):
                    self.assertLess(by_orm.pop(name), inserted.pop(name))
                self.assertEqual(inserted, by_orm)


class ValuesTests(ApiTestCase):
    def test_they_are_what_each_field_writes(self):
        reference = uuid4()
        for changes in (
            {},
            {"status": TransactionStatus.PENDING, "amount": 7, "quantity": True, "user_id": "12"},
            {"amount": "7.5", "reference": str(reference), "type_name": 5, "validity_days": None},
            {
                "start_counted": {"keys": ["a"]},
                "completed_at": timezone.now(),
                "stripe_payment_intent_id": "",
            },
        ):
            usual = {"reference": reference, "user_id": 3, "amount": Decimal("1.50"), "quantity": 2}
            row = Transaction(**usual | changes)
            fields = [field for field in Transaction._meta.concrete_fields if field.column != "id"]
            self.assertEqual([field.column for field in fields], columns_of(Transaction, without=("id",)))
            with self.subTest(changes):
                written = values_of(row, without=("id",))
                for field, value in zip(fields, written, strict=True):
                    expected = field.get_db_prep_save(getattr(row, field.attname), connection)
                    self.assertEqual((field.name, str(value)), (field.name, str(expected)))

    def test_an_amount_that_is_no_number_is_refused(self):
        for amount in ("NaN", "sNaN", "Infinity", "-Infinity"):  # PostgreSQL's constraints let NaN pass
            with self.subTest(amount), self.assertRaises(ValidationError):
                values_of(Transaction(amount=Decimal(amount)))
