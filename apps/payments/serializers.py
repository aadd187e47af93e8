"""The shapes of payments in the API."""

import re
from typing import Any, Final

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from apps.core.api.fields import (
    IgnoredField,
    KnownFieldsSerializer,
    MoneyField,
    StrictIntegerField,
    UTCDateTimeField,
)
from apps.core.api.filters import LARGEST_ID
from apps.vouchers.serializers import AsSold, VoucherOutput, VoucherTypeOutput
from apps.vouchers.voucher_pdf import Paper

from .models import Refund, RefundStatus, Transaction, TransactionStatus

MAX_QUANTITY: Final = 10  # of one purchase; the shop offers no more (shop/static/shop/views/buy.js)


class PurchaseInput(KnownFieldsSerializer):
    voucher_type_id = StrictIntegerField(min_value=1, max_value=LARGEST_ID)
    quantity = StrictIntegerField(min_value=1, max_value=MAX_QUANTITY, default=1)
    discount_code = serializers.CharField(
        required=False, allow_blank=True, allow_null=True, max_length=100, help_text="Leave it empty."
    )

    def validate_discount_code(self, value: str | None) -> None:
        if value:
            raise serializers.ValidationError("Discount codes are not accepted yet.", code="not_accepted")

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        attributes.pop("discount_code", None)
        return attributes


class OlderPurchaseInput(PurchaseInput):
    """What the older web client sends besides; price, currency and card are never taken from it."""

    quantity = StrictIntegerField(
        min_value=1, max_value=MAX_QUANTITY, default=1, allow_null=True, help_text="Null counts as left out."
    )
    payment_method = IgnoredField()
    currency = IgnoredField()

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        known = super().validate(attributes)
        return {"voucher_type_id": known["voucher_type_id"], "quantity": known["quantity"] or 1}


class ConfirmInput(KnownFieldsSerializer):
    payment_intent_id = serializers.CharField(max_length=255)
    voucher_type_id = IgnoredField()
    quantity = IgnoredField()


class TransactionOutput(AsSold):
    status = serializers.ChoiceField(choices=TransactionStatus.choices)
    voucher_type = VoucherTypeOutput()
    unit_price = MoneyField()
    amount = MoneyField()
    amount_refunded = MoneyField()
    created_at = UTCDateTimeField()
    updated_at = UTCDateTimeField()
    completed_at = UTCDateTimeField(allow_null=True)
    receipt_number = serializers.IntegerField(
        allow_null=True, help_text="As printed on the receipt. Null until the payment is completed."
    )

    class Meta:
        model = Transaction
        fields: tuple[str, ...] = (
            "id",
            "status",
            "voucher_type",
            "quantity",
            "unit_price",
            "amount",
            "currency",
            "amount_refunded",
            "stripe_payment_intent_id",
            "created_at",
            "updated_at",
            "completed_at",
            "receipt_number",
        )
        read_only_fields = fields


class TransactionExportOutput(TransactionOutput):
    """What is held of a purchase, also who the buyer was as the receipt names them."""

    class Meta(TransactionOutput.Meta):
        fields = (*TransactionOutput.Meta.fields, "buyer_name", "buyer_email")


class TransactionDetailOutput(TransactionOutput):
    vouchers = VoucherOutput(many=True)

    class Meta(TransactionOutput.Meta):
        fields = (*TransactionOutput.Meta.fields, "vouchers")


class PurchaseOutput(serializers.Serializer[Any]):
    transaction = TransactionOutput()
    vouchers = VoucherOutput(many=True, help_text="Empty until the money has arrived.")
    client_secret = serializers.CharField(
        allow_null=True, help_text="For Stripe.js; null if nothing is to pay."
    )
    publishable_key = serializers.CharField()


class PaymentIntentOutput(serializers.Serializer[Any]):
    transaction_id = serializers.IntegerField()
    payment_intent_id = serializers.CharField(allow_null=True)
    client_secret = serializers.CharField(
        allow_null=True, help_text="For Stripe.js; null if nothing is to pay."
    )
    publishable_key = serializers.CharField()
    amount = MoneyField()
    currency = serializers.CharField()


@extend_schema_serializer(deprecate_fields=("payment_id", "payment"))
class OlderPaymentIntentOutput(PaymentIntentOutput):
    """The purchase also under the names that the older web client reads."""

    payment_id = serializers.IntegerField(source="transaction_id", help_text="`transaction_id` again.")
    payment = TransactionOutput(source="transaction", help_text="The transaction.")


class ConfirmOutput(serializers.Serializer[Any]):
    message = serializers.CharField()
    transaction = TransactionOutput()
    vouchers = VoucherOutput(many=True)
    voucher_codes = serializers.ListField(child=serializers.CharField())


@extend_schema_serializer(deprecate_fields=("payment_id", "payment"))
class OlderConfirmOutput(ConfirmOutput):
    """The purchase also under the names that the older web client reads."""

    payment_id = serializers.IntegerField(source="transaction.pk", help_text="The transaction's `id`.")
    payment = TransactionOutput(source="transaction", help_text="`transaction` again.")


# The number of a transaction, or else the payment intent: printable ASCII that is more than digits.
PAYMENT_ID = r"^(?:0*[1-9][0-9]{0,17}|[0-9]*[!-/:-~][ -~]*)$"


@extend_schema_field(
    {
        "oneOf": [
            {"type": "integer", "format": "int64", "minimum": 1, "maximum": LARGEST_ID},
            {"type": "string", "pattern": PAYMENT_ID, "maxLength": 255},
        ]
    }
)
class PaymentIdField(serializers.Field):
    """A transaction's number, as a number or as text, or its payment intent."""

    def to_internal_value(self, data: Any) -> int | str:
        if isinstance(data, int) and not isinstance(data, bool) and 0 < data <= LARGEST_ID:
            return data
        if isinstance(data, str) and len(data) <= 255 and re.fullmatch(PAYMENT_ID, data):
            return int(data) if data.isdigit() else data
        raise serializers.ValidationError(
            "Give the number of a transaction, or its payment intent.", "invalid"
        )


class PaperInput(serializers.Serializer[Any]):
    paper = serializers.ChoiceField(
        choices=tuple(Paper),
        default=Paper.A5,
        help_text="A page each (a5), sheets of eight to cut apart (a4, letter), or slips for a till's printer (80mm).",
    )


class RefundInput(KnownFieldsSerializer):
    payment_id = PaymentIdField(help_text="A transaction's number, or its payment intent.")
    reason = serializers.CharField(max_length=200)
    notes = serializers.CharField(
        max_length=2000, required=False, allow_blank=True, allow_null=True, default=""
    )

    amount = IgnoredField()

    def validate_notes(self, value: str | None) -> str:
        return value or ""

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        attributes.pop("amount", None)
        return attributes


class RefundOutput(serializers.ModelSerializer[Refund]):
    payment_id = serializers.IntegerField(source="transaction_id")
    status = serializers.ChoiceField(choices=RefundStatus.choices)
    amount = MoneyField()
    currency = serializers.CharField(source="transaction.currency")
    voucher_codes = serializers.SerializerMethodField(
        help_text="The vouchers that it gives the money back for."
    )
    created_at = UTCDateTimeField()
    updated_at = UTCDateTimeField()
    finished_at = UTCDateTimeField(allow_null=True)

    class Meta:
        model = Refund
        fields = (
            "id",
            "payment_id",
            "status",
            "amount",
            "currency",
            "reason",
            "notes",
            "decision_note",
            "voucher_codes",
            "created_at",
            "updated_at",
            "finished_at",
        )
        read_only_fields = fields

    def get_voucher_codes(self, refund: Refund) -> list[str]:
        return [line.voucher.shown_code for line in refund.lines.all()]
