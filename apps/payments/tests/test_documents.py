"""The JSON built from rows is, byte for byte, what the documented serializers write."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F
from django.utils import timezone
from rest_framework.renderers import JSONRenderer

from apps.core.api.documents import json_bytes
from apps.payments import documents, row_queries
from apps.payments.models import Transaction
from apps.payments.rows import TRANSACTION_COLUMNS, TransactionRow, transaction_row
from apps.payments.serializers import (
    ConfirmOutput,
    OlderConfirmOutput,
    OlderPaymentIntentOutput,
    PurchaseOutput,
    TransactionDetailOutput,
    TransactionOutput,
)
from apps.payments.services import fulfilment
from apps.users.tests.factories import make_customer
from apps.vouchers.models import Voucher, VoucherType
from apps.vouchers.states import Hold
from apps.vouchers.tests.factories import held, make_type
from tests.support.cases import ApiTestCase

from .factories import make_completed_transaction, make_transaction

AWKWARD_TEXTS = (
    "Ünïcode \u2028 \u2029 \U0001f600",
    'Quotes " \\ </script>',
    "نتائج",
    "考试结果\n",
    "x" * 200,
)


def rendered(serializer: Any) -> bytes:
    text: bytes = JSONRenderer().render(serializer.data)
    return text


class PaymentDocumentsTest(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.customer = make_customer()

    def make_awkward_transactions(self) -> None:
        for number, text in enumerate(AWKWARD_TEXTS):
            kind = make_type(
                name=f"Before {text}"[:200],
                price=Decimal(f"{number}.5{number}"),
                currency=("USD", "KWD")[number % 2],
            )
            for make in (make_transaction, make_completed_transaction):
                make(user=self.customer, voucher_type=kind, quantity=number + 1)
            VoucherType.objects.filter(pk=kind.pk).update(
                name=text, description=text * 2, price=99_999_999, service_type=f"s-{number}", is_active=False
            )
        rows = Transaction.objects.order_by("pk")
        rows.filter(pk=rows[0].pk).update(status="failed", stripe_payment_intent_id=None, type_name="")
        rows.filter(pk=rows[3].pk).update(status="refunded", amount_refunded=F("amount"))
        rows.filter(pk=rows[5].pk).update(amount_refunded=Decimal("0.01"))
        rows.filter(pk=rows[7].pk).update(
            created_at=timezone.now().replace(microsecond=0), completed_at="2026-11-30T00:00:00+13:00"
        )

    def test_transactions_in_every_status_of_types_that_were_changed_since(self):
        self.make_awkward_transactions()
        transactions = Transaction.objects.select_related("voucher_type").order_by("pk")
        expected = rendered(TransactionOutput(transactions, many=True))
        rows = [TransactionRow._make(row) for row in transactions.values_list(*TRANSACTION_COLUMNS)]
        for equal_rows in (rows, [transaction_row(each) for each in transactions]):
            built = [documents.transaction_document(row) for row in equal_rows]
            self.assertEqual(json_bytes(built), expected)

    def test_every_answer_with_a_transaction_and_vouchers_in_every_state(self):
        self.make_awkward_transactions()
        paid = Transaction.objects.filter(status="completed", quantity=5).get()
        for number, voucher in enumerate(paid.vouchers):
            changes: dict[str, Any] = (
                {"uses_remaining": 0},
                {"expiry_date": timezone.now() - timedelta(days=3)},
                held(Hold.DISPUTED, Hold.REFUND_PENDING),
                held(*Hold),
                {"type_name": ""},
            )[number]
            Voucher.objects.filter(pk=voucher.pk).update(**changes)
        row, vouchers, now = transaction_row(paid), row_queries.voucher_rows(paid), timezone.now()
        self.assertEqual(len(vouchers), 5)
        codes = [voucher.shown_code for voucher in paid.vouchers]
        answer = {"message": AWKWARD_TEXTS[0], "transaction": paid, "vouchers": paid.vouchers}
        started = {"transaction": paid, "publishable_key": "pk_test_1"}
        intent: dict[str, Any] = {
            "transaction_id": paid.pk,
            "payment_intent_id": paid.stripe_payment_intent_id,
        }
        intent |= {"amount": paid.amount, "currency": paid.currency}
        for document, serializer in (
            (
                documents.transaction_detail_document(row, vouchers, now),
                TransactionDetailOutput(paid),
            ),
            (
                documents.confirm_document(row, vouchers, now, message=AWKWARD_TEXTS[0]),
                ConfirmOutput(answer | {"voucher_codes": codes}),
            ),
            (
                documents.older_confirm_document(row, vouchers, now, message=AWKWARD_TEXTS[0]),
                OlderConfirmOutput(answer | {"voucher_codes": codes}),
            ),
            (
                documents.purchase_document(
                    row, vouchers, now, client_secret=None, publishable_key="pk_test_1"
                ),
                PurchaseOutput(started | {"vouchers": paid.vouchers, "client_secret": None}),
            ),
            (
                documents.payment_intent_document(row, client_secret="s", publishable_key="pk_test_1"),
                OlderPaymentIntentOutput(started | intent | {"client_secret": "s"}),
            ),
        ):
            self.assertEqual(json_bytes(document), rendered(serializer))

    def test_vouchers_that_were_just_issued_are_those_of_the_database(self):
        make_transaction(user=self.customer, quantity=3, voucher_type=make_type(price=Decimal("12.50")))
        pending = Transaction.objects.select_related("voucher_type", "user").get()
        fulfilment.fulfil(pending)
        with self.assertQueries(0):
            issued = row_queries.voucher_rows(pending)
        self.assertEqual(issued, row_queries.voucher_rows(Transaction.objects.get()))
        self.assertEqual(len(issued), 3)
