"""The endpoints that are measured, with generic views and what most would write where these end."""

from django.conf import settings
from django.contrib.auth import authenticate
from django.db import transaction
from django.db.models import Count, Sum
from django.shortcuts import get_object_or_404
from rest_framework import generics, permissions, status
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.tokens import RefreshToken

from . import dashboard, payments
from .filters import TransactionFilter, UsageFilter, VoucherFilter, status_q
from .models import Transaction, Voucher, VoucherType, VoucherUsage
from .serializers import (
    ConfirmSerializer,
    LoginSerializer,
    PurchaseSerializer,
    RedeemSerializer,
    TransactionSerializer,
    UserSerializer,
    VoucherDetailSerializer,
    VoucherSerializer,
    VoucherTypeSerializer,
    VoucherUsageSerializer,
)


class LoginView(APIView):
    authentication_classes = []
    permission_classes = [permissions.AllowAny]

    def post(self, request):
        serializer = LoginSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = authenticate(request, **serializer.validated_data)
        if user is None:
            raise AuthenticationFailed("No active account with these credentials.")
        refresh = RefreshToken.for_user(user)
        return Response(
            {
                "user": UserSerializer(user, context={"request": request}).data,
                "message": "You are signed in.",
                "access": str(refresh.access_token),
                "refresh": str(refresh),
            }
        )


class VoucherTypeListView(generics.ListAPIView):
    queryset = VoucherType.objects.filter(is_active=True)
    serializer_class = VoucherTypeSerializer
    permission_classes = [permissions.AllowAny]
    pagination_class = None


class MyVouchersView(generics.ListAPIView):
    serializer_class = VoucherSerializer
    filterset_class = VoucherFilter
    search_fields = ["code", "voucher_type__name"]
    ordering_fields = ["purchase_date", "expiry_date"]

    def get_queryset(self):
        return Voucher.objects.filter(user=self.request.user).select_related("voucher_type")


class VoucherDetailView(generics.RetrieveAPIView):
    serializer_class = VoucherDetailSerializer
    lookup_field = "code"

    def get_queryset(self):
        vouchers = Voucher.objects.select_related("voucher_type")
        vouchers = vouchers.prefetch_related("usages__voucher__voucher_type", "history__actor")
        return vouchers if self.request.user.is_staff else vouchers.filter(user=self.request.user)


class RedeemView(APIView):
    """Read, check, save: right for one client, and of two at the same instant both may spend the last use."""

    def post(self, request):
        serializer = RedeemSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        vouchers = Voucher.objects.select_related("voucher_type")
        voucher = get_object_or_404(vouchers, code=data["code"].strip().upper())
        if not voucher.is_valid:
            return Response({"detail": f"This voucher is {voucher.status}."}, status=status.HTTP_409_CONFLICT)
        if data.get("service_type") and data["service_type"] != voucher.voucher_type.service_type:
            return Response(
                {"detail": "This voucher is for another service."}, status=status.HTTP_409_CONFLICT
            )
        with transaction.atomic():
            voucher.uses_remaining -= 1
            voucher.save()
            usage = VoucherUsage.objects.create(
                voucher=voucher,
                user=request.user,
                service_type=voucher.voucher_type.service_type,
                details=data.get("details", {}),
                use_no=voucher.total_uses - voucher.uses_remaining,
            )
        return Response(
            {
                "message": "Voucher redeemed.",
                "voucher": VoucherSerializer(voucher).data,
                "usage": VoucherUsageSerializer(usage).data,
            }
        )


class UsageHistoryView(generics.ListAPIView):
    serializer_class = VoucherUsageSerializer
    filterset_class = UsageFilter

    def get_queryset(self):
        return VoucherUsage.objects.filter(user=self.request.user).select_related("voucher__voucher_type")


class VoucherStatsView(APIView):
    def get(self, request):
        vouchers = Voucher.objects.filter(user=request.user)
        counts = vouchers.aggregate(
            total_vouchers=Count("id"),
            active_vouchers=Count("id", filter=status_q("active")),
            used_vouchers=Count("id", filter=status_q("used")),
            expired_vouchers=Count("id", filter=status_q("expired")),
            inactive_vouchers=Count("id", filter=status_q("inactive")),
            total_value=Sum("face_value", default=0),
        )
        value = counts.pop("total_value")
        return Response(
            {
                **counts,
                "total_redemptions": VoucherUsage.objects.filter(voucher__user=request.user).count(),
                "total_value": f"{value:.2f}",
                "currency": settings.DEFAULT_CURRENCY,
                "other_currencies": [],
            }
        )


class StartPurchaseView(APIView):
    def start(self, request):
        serializer = PurchaseSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        types = VoucherType.objects.filter(is_active=True)
        voucher_type = get_object_or_404(types, pk=serializer.validated_data["voucher_type_id"])
        return payments.create_payment(request.user, voucher_type, serializer.validated_data["quantity"])


class CreatePaymentIntentView(StartPurchaseView):
    def post(self, request):
        payment, client_secret = self.start(request)
        return Response(
            {
                "transaction_id": payment.id,
                "payment_intent_id": payment.stripe_payment_intent_id,
                "client_secret": client_secret,
                "publishable_key": settings.STRIPE_PUBLISHABLE_KEY,
                "amount": str(payment.amount),
                "currency": payment.currency,
            },
            status=status.HTTP_201_CREATED,
        )


class PurchaseView(StartPurchaseView):
    def post(self, request):
        payment, client_secret = self.start(request)
        return Response(
            {
                "transaction": TransactionSerializer(payment).data,
                "vouchers": [],
                "client_secret": client_secret,
                "publishable_key": settings.STRIPE_PUBLISHABLE_KEY,
            },
            status=status.HTTP_201_CREATED,
        )


class ConfirmPaymentView(APIView):
    def post(self, request):
        serializer = ConfirmSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        payment = get_object_or_404(
            Transaction.objects.select_related("voucher_type").filter(user=request.user),
            stripe_payment_intent_id=serializer.validated_data["payment_intent_id"],
        )
        if not payments.complete_payment(payment):
            return Response({"detail": "The payment is not completed."}, status=status.HTTP_409_CONFLICT)
        vouchers = payment.vouchers.select_related("voucher_type")
        return Response(
            {
                "message": "Payment completed.",
                "transaction": TransactionSerializer(payment).data,
                "vouchers": VoucherSerializer(vouchers, many=True).data,
                "voucher_codes": [voucher.code for voucher in vouchers],
            }
        )


class PaymentHistoryView(generics.ListAPIView):
    serializer_class = TransactionSerializer
    filterset_class = TransactionFilter

    def get_queryset(self):
        return Transaction.objects.filter(user=self.request.user).select_related("voucher_type")


class DashboardView(APIView):
    def get(self, request):
        days = int(request.query_params.get("days", 30))
        return Response(dashboard.figures(None if request.user.is_staff else request.user, days))


class PersonalDashboardView(APIView):
    def get(self, request):
        return Response(dashboard.figures(request.user, int(request.query_params.get("days", 30))))
