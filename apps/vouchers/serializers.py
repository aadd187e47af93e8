"""The shapes of vouchers in the API."""

import json
import re
from typing import Any, Final

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from apps.core.api.fields import KnownFieldsSerializer, MoneyField, UTCDateTimeField
from apps.users.models import User
from apps.users.permissions import has_staff_permission

from . import codes
from .models import VIEW_VOUCHERS, Batch, Voucher, VoucherEvent, VoucherType, VoucherUsage
from .states import InactiveReason, VoucherStatus

MAX_DETAILS_BYTES = 4096


class VoucherTypeOutput(serializers.ModelSerializer[VoucherType]):
    price = MoneyField()

    class Meta:
        model = VoucherType
        fields = (
            "id",
            "name",
            "description",
            "price",
            "currency",
            "service_type",
            "validity_days",
            "max_uses",
            "is_active",
        )
        read_only_fields = fields


class AsSold(serializers.ModelSerializer[Any]):
    """The type of what was sold or issued is called as it was then, and for the service that it was for."""

    def to_representation(self, instance: Any) -> dict[str, Any]:
        document: dict[str, Any] = super().to_representation(instance)
        document["voucher_type"].update(name=instance.sold_as, service_type=instance.service_type)
        return document


class VoucherOutput(AsSold):
    code = serializers.CharField(source="shown_code")
    voucher_type = VoucherTypeOutput()
    status = serializers.SerializerMethodField()
    is_valid = serializers.SerializerMethodField(  # type: ignore[assignment]  # the field hides a method that only inputs need
        help_text="Whether it can be redeemed now."
    )
    inactive_reason = serializers.ChoiceField(choices=[("", ""), *InactiveReason.choices])
    purchase_date = UTCDateTimeField()
    expiry_date = UTCDateTimeField()
    days_until_expiry = serializers.SerializerMethodField()
    face_value = MoneyField()

    class Meta:
        model = Voucher
        fields: tuple[str, ...] = (
            "code",
            "voucher_type",
            "status",
            "is_active",
            "is_valid",
            "inactive_reason",
            "purchase_date",
            "expiry_date",
            "days_until_expiry",
            "uses_remaining",
            "total_uses",
            "face_value",
            "currency",
        )
        read_only_fields = fields

    def get_status(self, voucher: Voucher) -> VoucherStatus:
        return voucher.status_at(timezone.now())

    def get_is_valid(self, voucher: Voucher) -> bool:
        return voucher.status_at(timezone.now()) is VoucherStatus.ACTIVE

    def get_days_until_expiry(self, voucher: Voucher) -> int:
        return voucher.days_left_at(timezone.now())


@extend_schema_field({"type": "object", "additionalProperties": {}})
class DetailsField(serializers.JSONField):
    """What a client recorded with a redemption: an object of any members."""

    def __init__(self, **options: Any) -> None:
        super().__init__(read_only=True, **options)


class UsageExportOutput(serializers.ModelSerializer[VoucherUsage]):
    """A usage with each fact once."""

    voucher_code = serializers.SerializerMethodField(
        help_text="Hidden (`····-····-····-····`) if it is someone else's and got a new code since."
    )
    voucher_type_name = serializers.CharField(source="voucher.sold_as")
    used_at = UTCDateTimeField()
    details = DetailsField(help_text="As they were sent with the redemption.")

    class Meta:
        model = VoucherUsage
        fields: tuple[str, ...] = (
            "id",
            "voucher_code",
            "voucher_type_name",
            "service_type",
            "used_at",
            "details",
            "use_no",
        )
        read_only_fields = fields

    def get_voucher_code(self, usage: VoucherUsage) -> str:
        someone_elses = usage.voucher.user_id != usage.user_id
        return (
            codes.HIDDEN if someone_elses and getattr(usage, "reissued", False) else usage.voucher.shown_code
        )


@extend_schema_serializer(deprecate_fields=("service_data",))
class UsageOutput(UsageExportOutput):
    """A usage, its details also under the name that the older web client reads."""

    service_data = DetailsField(source="details", help_text="`details` again.")

    class Meta(UsageExportOutput.Meta):
        fields = (*UsageExportOutput.Meta.fields, "service_data")
        read_only_fields = fields


class BatchOutput(serializers.ModelSerializer[Batch]):
    created_at = UTCDateTimeField()

    class Meta:
        model = Batch
        fields = ("label", "quantity", "created_at")
        read_only_fields = fields


class VoucherEventOutput(serializers.ModelSerializer[VoucherEvent]):
    """`context["viewer"]` is who reads it: staff who may view vouchers see who acted, an owner only on which side."""

    at = UTCDateTimeField()
    actor = serializers.SerializerMethodField(
        help_text="`you`, `staff` or `system`; to staff who may view vouchers the e-mail address, or `system`."
    )

    class Meta:
        model = VoucherEvent
        fields: tuple[str, ...] = ("kind", "reason", "at", "actor")
        read_only_fields = fields

    def get_actor(self, event: VoucherEvent) -> str:
        viewer: User = self.context["viewer"]
        if event.actor is None:
            return "system"
        if has_staff_permission(viewer, VIEW_VOUCHERS):
            return event.actor.email
        return "you" if event.actor == viewer else "staff"


class OwnHistoryOutput(VoucherEventOutput):
    voucher_code = serializers.CharField(source="voucher.shown_code")

    class Meta(VoucherEventOutput.Meta):
        fields = ("voucher_code", *VoucherEventOutput.Meta.fields)


class VoucherDetailOutput(VoucherOutput):
    usages = UsageOutput(many=True, source="latest_usages", help_text="The latest thousand.")
    history = VoucherEventOutput(
        many=True, source="events", help_text="All that happened to it but its uses."
    )

    class Meta(VoucherOutput.Meta):
        fields = (*VoucherOutput.Meta.fields, "usages", "history")


class QrInput(serializers.Serializer[Any]):
    format = serializers.ChoiceField(choices=("svg", "png"), default="svg")


@extend_schema_serializer(deprecate_fields=("service_data",))
class RedeemInput(KnownFieldsSerializer):
    code = serializers.CharField(
        max_length=codes.LONGEST_INPUT,
        help_text="As it is shown, in any case, or the link that its QR code holds, as copied, pasted or scanned.",
    )
    service_type = serializers.CharField(
        max_length=50, required=False, allow_null=True, allow_blank=True, default=None
    )
    details = serializers.DictField(
        required=False,
        help_text=f"Anything worth recording, at most {MAX_DETAILS_BYTES} bytes as JSON.",
    )
    service_data = serializers.DictField(
        required=False, allow_null=True, help_text="An older name of `details`."
    )

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        attributes["service_type"] = attributes["service_type"] or None
        older = attributes.pop("service_data", None)
        if older and "details" in attributes:
            raise serializers.ValidationError(
                {"service_data": [serializers.ErrorDetail("Send it as details alone.", "not_together")]}
            )
        details = attributes.setdefault("details", older or {})
        if len(json.dumps(details, ensure_ascii=False).encode()) > MAX_DETAILS_BYTES:
            raise serializers.ValidationError(
                {"details": [serializers.ErrorDetail("This is too large to record.", "too_large")]}
            )
        return attributes


# What codes are mostly sent as, and services are called.
_USUAL_CODE: Final = re.compile(r"[0-9A-Za-z-]{1,100}")
_USUAL_SERVICE: Final = re.compile(r"[0-9A-Za-z_-]{1,50}")


def redeem_input(body: Any) -> dict[str, Any]:
    """The body of a redemption as `RedeemInput` validates it. Raises ValidationError.

    The usual body breaks none of its rules, and needs no serializer to find that out.
    """
    if isinstance(body, dict) and body.keys() <= {"code", "service_type"}:
        code, service = body.get("code"), body.get("service_type")
        is_usual_service = service is None or (isinstance(service, str) and _USUAL_SERVICE.fullmatch(service))
        if isinstance(code, str) and _USUAL_CODE.fullmatch(code) and is_usual_service:
            return {"code": code, "service_type": service, "details": {}}
    serializer = RedeemInput(data=body)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


class RedeemOutput(serializers.Serializer[Any]):
    message = serializers.CharField()
    voucher = VoucherOutput()
    usage = UsageOutput()


class CurrencyValueOutput(serializers.Serializer[Any]):
    currency = serializers.CharField()
    total_value = MoneyField()


class StatisticsOutput(serializers.Serializer[Any]):
    total_vouchers = serializers.IntegerField()
    active_vouchers = serializers.IntegerField()
    used_vouchers = serializers.IntegerField()
    expired_vouchers = serializers.IntegerField()
    inactive_vouchers = serializers.IntegerField()
    total_redemptions = serializers.IntegerField()
    total_value = MoneyField()
    currency = serializers.CharField()
    other_currencies = CurrencyValueOutput(many=True)
