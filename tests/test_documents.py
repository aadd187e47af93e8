"""Documents built without serializers have the words that the serializers' fields write."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from django.test import SimpleTestCase
from rest_framework.renderers import JSONRenderer

from apps.core.api.documents import json_bytes, money_text, utc_text
from apps.core.api.fields import MoneyField, UTCDateTimeField


class DocumentsTest(SimpleTestCase):
    def test_money_is_written_as_its_field_writes_it(self):
        for text in ("0", "0.1", "7", "10.00", "12345678.90", "999999999999.99", "0.000", "-3.5"):
            self.assertEqual(money_text(Decimal(text)), MoneyField().to_representation(text), text)

    def test_times_are_written_as_their_field_writes_them(self):
        moment = datetime(2026, 3, 1, 23, 59, 59, 120000, tzinfo=UTC)
        for one in (
            moment,
            moment.replace(microsecond=0),
            moment.astimezone(timezone(timedelta(hours=5, minutes=45))),
            datetime(1, 1, 1, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        ):
            self.assertEqual(utc_text(one), UTCDateTimeField().to_representation(one), one)

    def test_json_is_written_as_its_renderer_writes_it(self):
        documents: tuple[Any, ...] = (
            {"b": [1, 2.5, -0.0, 1e300, 10**32, None, True], "a": {"": 'é\u2028\u2029\U0001f600\x00\\"/<'}},
            [],
            "text",
            {"nested": [[[{"deeper": [{}]}]]]},
        )
        for document in documents:
            self.assertEqual(json_bytes(document), JSONRenderer().render(document), document)
        with self.assertRaises(ValueError):
            json_bytes(float("nan"))
