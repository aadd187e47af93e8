"""Voucher types, a person's vouchers, and redeeming."""

from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core import idempotency, rate_limits
from apps.core.api.content_negotiation import IgnoreClientContentNegotiation
from apps.core.api.downloads import file_response
from apps.core.api.lists import Row, RowListView
from apps.core.api.openapi import documented
from apps.core.api.responses import document_response
from apps.core.metrics import Counter
from apps.core.views import PublicView
from apps.users.current_user import current_user
from apps.users.errors import AccountClosed
from apps.users.permissions import has_staff_permission

from . import errors, qr, row_queries, selectors, services, type_list, voucher_pdf
from .documents import statistics_document, usage_document, voucher_detail_document, voucher_documents
from .filters import UsageFilters, VoucherFilters
from .models import VIEW_VOUCHERS, Voucher, VoucherUsage
from .rate_limits import unknown_codes
from .rows import USAGE_COLUMNS, VOUCHER_COLUMNS, UsageRow, VoucherRow
from .serializers import (
    QrInput,
    RedeemInput,
    RedeemOutput,
    StatisticsOutput,
    UsageOutput,
    VoucherDetailOutput,
    VoucherOutput,
    VoucherTypeOutput,
    redeem_input,
)

# Statuses of a refused redemption. Not 401 and 403, which are about the client, nor 503, after which it is sent again.
REFUSED: Final = frozenset({400, 404, 409, 411, 413, 415, 422, 429})
REDEMPTIONS: Final = Counter(
    "redemptions_total",
    "Requests to redeem by their outcome: redeemed, replayed, or why they were refused.",
    ("outcome",),
    zero=[("redeemed",)],
)


class Types(PublicView):
    @documented(
        "What is on sale, by name.", operation_id="voucher_types", answers={200: VoucherTypeOutput(many=True)}
    )
    def get(self, request: Request) -> HttpResponse:
        return document_response(
            request, type_list.types_on_sale(), headers={"Cache-Control": "public, max-age=60"}
        )


class MyVouchers(RowListView[Voucher]):
    queryset = Voucher.objects.none()  # tells the schema the model
    serializer_class = VoucherOutput
    filterset_class = VoucherFilters
    columns = VOUCHER_COLUMNS

    def get_queryset(self) -> QuerySet[Voucher]:
        return selectors.vouchers_of(current_user(self.request))

    def first_rows(self, *, limit: int, offset: int) -> Sequence[Row]:
        return row_queries.first_vouchers_of(current_user(self.request), limit=limit, offset=offset)

    def documents(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        return voucher_documents(map(VoucherRow._make, rows), timezone.now())

    @documented(
        "My vouchers, newest first.",
        operation_id="my_vouchers",
        answers={200: VoucherOutput(many=True)},
    )
    def get(self, request: Request) -> HttpResponse:
        return self.list_response(request)


class Redeem(APIView):
    requested_service: Any = None  # as the client sent it

    @documented(
        "Take one use from a voucher. Whoever holds the code may.",
        operation_id="redeem",
        request=RedeemInput,
        answers={200: RedeemOutput},
        errors=(
            errors.CodeMalformed,
            errors.VoucherNotFound,
            errors.VoucherExpired,
            errors.VoucherUsedUp,
            errors.VoucherInactive,
            errors.ServiceMismatch,
            AccountClosed,
        ),
        idempotent=True,
    )
    def post(self, request: Request) -> HttpResponse:
        self.requested_service = request.data.get("service_type") if isinstance(request.data, dict) else None
        key = idempotency.request_key(request.headers, operation="redeem", body=request.data)
        # Before every rule: what was answered once is answered again, whatever has changed since.
        if key and (earlier := services.earlier_answer(user=current_user(request), key=key)):
            return _response(earlier)
        redemption = {"user": current_user(request), **redeem_input(request.data)}
        counters = unknown_codes(request, current_user(request))
        rate_limits.test(*counters)
        try:
            if key:
                return _response(services.redeem_once(key=key, **redemption))
            return _response(services.redeem_voucher(**redemption))
        except errors.VoucherNotFound:
            # Counted afterwards, unlike a password: however many valid codes are redeemed at once, none is
            # refused; and of unknown codes at once, no more than the limit learn that they are unknown.
            rate_limits.hit(*counters)
            raise

    def handle_exception(self, exc: Exception) -> Response:
        """Answer an error, and count it if it refuses a redemption: to somebody who is signed in, and for good."""
        response = super().handle_exception(exc)
        if self.request.method != "POST":
            return response
        # As the answer names it, whichever rule or library refused the request.
        reason = response.data["reason" if isinstance(exc, errors.VoucherInactive) else "code"]
        REDEMPTIONS.count(reason)
        if response.status_code in REFUSED:
            services.count_refusal(
                reason=reason,
                requested_service=self.requested_service,
                voucher_service=getattr(exc, "service_type", ""),
            )
        return response


def _response(answer: services.Answer) -> HttpResponse:
    REDEMPTIONS.count("replayed" if answer.replayed else "redeemed")
    headers = idempotency.REPLAYED if answer.replayed else None
    return HttpResponse(answer.text, content_type=JSONRenderer.media_type, headers=headers)


class VoucherDetail(APIView):
    @documented(
        "One voucher with its uses and its history, for its owner and staff with the permission to view vouchers.",
        operation_id="voucher_detail",
        answers={200: VoucherDetailOutput},
        errors=(errors.VoucherNotFound,),
    )
    def get(self, request: Request, code: str) -> HttpResponse:
        viewer = current_user(request)
        sees_all = has_staff_permission(viewer, VIEW_VOUCHERS)
        voucher = row_queries.voucher_with_history(code=code, owner=None if sees_all else viewer)
        return document_response(
            request,
            voucher_detail_document(voucher, timezone.now(), viewer_id=viewer.pk, sees_actors=sees_all),
        )


class VoucherQr(APIView):
    content_negotiation_class = IgnoreClientContentNegotiation

    @documented(
        "A voucher's QR code, for its owner and staff with the permission to view vouchers: the address where the web"
        " client redeems it.",
        operation_id="voucher_qr",
        parameters=[QrInput],
        answers={(200, "image/svg+xml"): OpenApiTypes.BINARY, (200, "image/png"): OpenApiTypes.BINARY},
        errors=(errors.VoucherNotFound,),
    )
    def get(self, request: Request, code: str) -> HttpResponse:
        serializer = QrInput(data=request.query_params)
        serializer.is_valid(raise_exception=True)
        voucher = selectors.voucher_seen_by(current_user(request), code=code)
        name = f"voucher-{voucher.code[-4:]}.{serializer.validated_data['format']}"
        if serializer.validated_data["format"] == "png":
            return file_response(qr.png(voucher.code), media_type="image/png", name=name, inline=True)
        return file_response(qr.svg(voucher.code), media_type="image/svg+xml", name=name, inline=True)


class VoucherPdf(APIView):
    content_negotiation_class = IgnoreClientContentNegotiation

    @documented(
        "A voucher to print, for its owner and staff with the permission to view vouchers.",
        operation_id="voucher_pdf",
        answers={(200, "application/pdf"): OpenApiTypes.BINARY},
        errors=(errors.VoucherNotFound,),
    )
    def get(self, request: Request, code: str) -> HttpResponse:
        voucher = selectors.voucher_seen_by(current_user(request), code=code)
        return file_response(
            voucher_pdf.voucher_pdf(voucher),
            media_type="application/pdf",
            name=f"voucher-{voucher.code[-4:]}.pdf",
        )


class Stats(APIView):
    @documented("My vouchers, counted.", operation_id="voucher_stats", answers={200: StatisticsOutput})
    def get(self, request: Request) -> HttpResponse:
        statistics = selectors.statistics_of(
            current_user(request),
            now=timezone.now(),
            currency=settings.DEFAULT_CURRENCY,
        )
        return document_response(request, statistics_document(statistics))


class UsageHistory(RowListView[VoucherUsage]):
    queryset = VoucherUsage.objects.none()  # tells the schema the model
    serializer_class = UsageOutput
    filterset_class = UsageFilters
    columns = USAGE_COLUMNS

    def get_queryset(self) -> QuerySet[VoucherUsage]:
        return selectors.usages_by(current_user(self.request))

    def first_rows(self, *, limit: int, offset: int) -> Sequence[Row]:
        return row_queries.first_usages_by(current_user(self.request), limit=limit, offset=offset)

    def documents(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        return [usage_document(UsageRow._make(row)) for row in rows]

    @documented(
        "The redemptions that I made, newest first.",
        operation_id="usage_history",
        answers={200: UsageOutput(many=True)},
    )
    def get(self, request: Request) -> HttpResponse:
        return self.list_response(request)
