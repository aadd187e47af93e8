"""Bodies that are validated without a new serializer: the same values and the same refusals."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.test import SimpleTestCase
from rest_framework.exceptions import ValidationError

from apps.core.api.fields import validated
from apps.payments.serializers import ConfirmInput, OlderPurchaseInput, PurchaseInput, RefundInput

BODIES: tuple[Any, ...] = (
    {"voucher_type_id": 1},
    {"voucher_type_id": "7", "quantity": 3, "discount_code": ""},
    {"voucher_type_id": 1, "quantity": None, "currency": "usd"},
    {"voucher_type_id": 1, "quantity": 11},
    {"voucher_type_id": 1, "discount_code": "SPRING"},
    {"voucher_type_id": 1, "quantitty": 2},
    {"payment_intent_id": " pi_1 ", "quantity": [1]},
    {"payment_intent_id": ""},
    {"payment_id": 5, "reason": "twice", "notes": None, "amount": 1},
    {"payment_id": 5, "reason": "x" * 201},
    {},
    None,
    [],
    [1],
    "text",
    5,
)


class ValidatedTests(SimpleTestCase):
    def outcome(self, validate: Any) -> Any:
        """The values, or the refusal in full."""
        try:
            return dict(validate())
        except ValidationError as error:
            return error.get_full_details()

    def test_it_gives_what_a_new_serializer_gives(self):
        for serializer_class in (PurchaseInput, OlderPurchaseInput, ConfirmInput, RefundInput):
            for body in BODIES:

                def by_a_new_one(serializer_class: Any = serializer_class, body: Any = body) -> Any:
                    serializer = serializer_class(data=body)
                    serializer.is_valid(raise_exception=True)
                    return serializer.validated_data

                with self.subTest(serializer_class.__name__, body=body):
                    expected = self.outcome(by_a_new_one)
                    for _ in range(2):
                        self.assertEqual(self.outcome(lambda: validated(serializer_class, body)), expected)  # noqa: B023

    def test_nothing_of_one_request_is_left_for_the_next(self):
        self.assertEqual(validated(PurchaseInput, {"voucher_type_id": 1, "quantity": 9})["quantity"], 9)
        self.assertEqual(validated(PurchaseInput, {"voucher_type_id": 1})["quantity"], 1)

    def test_threads_may_validate_at_once(self):
        with ThreadPoolExecutor(4) as threads:
            bodies = [{"voucher_type_id": number, "quantity": number % 10 + 1} for number in range(1, 400)]
            self.assertEqual(list(threads.map(lambda body: validated(PurchaseInput, body), bodies)), bodies)
