"""Nested model serializers, one a model."""

from rest_framework import serializers

from .models import Transaction, User, Voucher, VoucherEvent, VoucherType, VoucherUsage


class LoginSerializer(serializers.Serializer):
    email = serializers.EmailField()
    password = serializers.CharField(trim_whitespace=False)


class UserSerializer(serializers.ModelSerializer):
    full_name = serializers.ReadOnlyField()
    phone_number = serializers.CharField(source="profile.phone_number")
    address = serializers.CharField(source="profile.address")
    date_of_birth = serializers.DateField(source="profile.date_of_birth")
    profile_picture = serializers.FileField(source="profile.profile_picture")
    expiry_reminders = serializers.BooleanField(source="profile.expiry_reminders")

    class Meta:
        model = User
        fields = [
            "id",
            "email",
            "first_name",
            "last_name",
            "full_name",
            "phone_number",
            "address",
            "date_of_birth",
            "profile_picture",
            "expiry_reminders",
            "language",
            "is_staff",
            "date_joined",
        ]


class VoucherTypeSerializer(serializers.ModelSerializer):
    class Meta:
        model = VoucherType
        fields = [
            "id",
            "name",
            "description",
            "price",
            "currency",
            "service_type",
            "validity_days",
            "max_uses",
            "is_active",
        ]


class VoucherSerializer(serializers.ModelSerializer):
    voucher_type = VoucherTypeSerializer(read_only=True)
    status = serializers.ReadOnlyField()
    is_valid = serializers.ReadOnlyField()
    days_until_expiry = serializers.ReadOnlyField()

    class Meta:
        model = Voucher
        fields = [
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
        ]


class VoucherUsageSerializer(serializers.ModelSerializer):
    voucher_code = serializers.CharField(source="voucher.code")
    voucher_type_name = serializers.CharField(source="voucher.voucher_type.name")
    service_data = serializers.JSONField(source="details")

    class Meta:
        model = VoucherUsage
        fields = [
            "id",
            "voucher_code",
            "voucher_type_name",
            "service_type",
            "used_at",
            "details",
            "use_no",
            "service_data",
        ]


class VoucherEventSerializer(serializers.ModelSerializer):
    actor = serializers.SerializerMethodField()

    class Meta:
        model = VoucherEvent
        fields = ["kind", "reason", "at", "actor"]

    def get_actor(self, event):
        if event.actor is None:
            return "system"
        return "you" if event.actor == self.context["request"].user else "staff"


class VoucherDetailSerializer(VoucherSerializer):
    usages = VoucherUsageSerializer(many=True, read_only=True)
    history = VoucherEventSerializer(many=True, read_only=True)

    class Meta(VoucherSerializer.Meta):
        fields = [*VoucherSerializer.Meta.fields, "usages", "history"]


class RedeemSerializer(serializers.Serializer):
    code = serializers.CharField(max_length=500)
    service_type = serializers.CharField(max_length=50, required=False, allow_blank=True)
    details = serializers.DictField(required=False)


class PurchaseSerializer(serializers.Serializer):
    voucher_type_id = serializers.IntegerField(min_value=1)
    quantity = serializers.IntegerField(min_value=1, max_value=10, default=1)


class ConfirmSerializer(serializers.Serializer):
    payment_intent_id = serializers.CharField(max_length=255)


class TransactionSerializer(serializers.ModelSerializer):
    voucher_type = VoucherTypeSerializer(read_only=True)

    class Meta:
        model = Transaction
        fields = [
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
        ]
