"""Buying vouchers, and what Stripe has to say about it."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.types import OpenApiTypes
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core import idempotency, rate_limits
from apps.core.api.content_negotiation import IgnoreClientContentNegotiation
from apps.core.api.downloads import file_response
from apps.core.api.openapi import documented
from apps.core.api.pagination import StandardPagination
from apps.users.current_user import current_user
from apps.users.errors import AccountClosed
from apps.vouchers.errors import VoucherTypeNotFound

from . import errors, receipt_pdf, selectors, services, webhooks
from .filters import TransactionFilters
from .models import Refund, Transaction
from .serializers import (
    ConfirmInput,
    ConfirmOutput,
    OlderConfirmOutput,
    OlderPaymentIntentOutput,
    OlderPurchaseInput,
    PaymentIntentOutput,
    PurchaseInput,
    PurchaseOutput,
    RefundInput,
    RefundOutput,
    TransactionDetailOutput,
    TransactionOutput,
)

PURCHASE_ERRORS = (
    VoucherTypeNotFound,
    errors.AmountTooSmall,
    errors.AmountTooLarge,
    errors.CurrencyNotSupported,
    errors.PurchaseCanceled,
    AccountClosed,
    errors.PaymentProviderUnavailable,
)


class StartPurchase(APIView):
    """What the two addresses that start a purchase share; they differ in the shape of the answer."""

    input_class: type[PurchaseInput] = PurchaseInput
    operation: str

    def start(self, request: Request, answer_of: Callable[[services.Purchase], Any]) -> Response:
        given = self.input_class(data=request.data)
        given.is_valid(raise_exception=True)
        key = idempotency.request_key(request.headers, operation=self.operation, body=request.data)
        network = rate_limits.per_network("LIMIT_UNPAID_PURCHASES_PER_NETWORK", request)
        started = services.start_purchase(
            user=current_user(request), key=key, network=network, **given.validated_data
        )
        if started.first_answer is not None:
            answer = {**started.first_answer, "client_secret": started.client_secret}
            return Response(self.shown(answer), status=201, headers=idempotency.REPLAYED)
        answer = dict(answer_of(started))
        services.store_response(current_user(request), key, {**answer, "client_secret": None})
        return Response(self.shown(answer), status=201)

    def shown(self, answer: dict[str, Any]) -> dict[str, Any]:
        """What of the answer as it is kept is shown at this address."""
        return answer


class Purchase(StartPurchase):
    operation = "purchase"

    @documented(
        "Start a purchase; a free type is issued at once.",
        operation_id="purchase",
        request=PurchaseInput,
        answers={201: PurchaseOutput},
        errors=PURCHASE_ERRORS,
        idempotent=True,
    )
    def post(self, request: Request) -> Response:
        return self.start(request, self.answer_of)

    @staticmethod
    def answer_of(started: services.Purchase) -> Any:
        answer = {
            "transaction": started.transaction,
            "vouchers": started.transaction.vouchers if started.transaction.is_paid else (),
            "client_secret": started.client_secret,
            "publishable_key": settings.STRIPE_PUBLISHABLE_KEY,
        }
        return PurchaseOutput(answer).data


class CreatePaymentIntent(StartPurchase):
    operation = "create_payment_intent"

    @documented(
        "Start a purchase and get what Stripe.js needs to pay it.",
        operation_id="create_payment_intent",
        request=PurchaseInput,
        answers={201: PaymentIntentOutput},
        errors=PURCHASE_ERRORS,
        idempotent=True,
    )
    def post(self, request: Request) -> Response:
        return self.start(request, self.answer_of)

    def shown(self, answer: dict[str, Any]) -> dict[str, Any]:
        return {name: answer[name] for name in PaymentIntentOutput().get_fields()}

    @staticmethod
    def answer_of(started: services.Purchase) -> Any:
        """For both addresses of this operation, as a key that was sent to one may come back at the other."""
        answer = {
            "transaction": started.transaction,
            "transaction_id": started.transaction.pk,
            "payment_intent_id": started.transaction.stripe_payment_intent_id,
            "client_secret": started.client_secret,
            "publishable_key": settings.STRIPE_PUBLISHABLE_KEY,
            "amount": started.transaction.amount,
            "currency": started.transaction.currency,
        }
        return OlderPaymentIntentOutput(answer).data


class CreateIntent(CreatePaymentIntent):
    """The same for the older web client."""

    deprecated = True
    input_class = OlderPurchaseInput

    @documented(
        "An older name of create-payment-intent.",
        operation_id="create_intent",
        request=OlderPurchaseInput,
        answers={201: OlderPaymentIntentOutput},
        errors=PURCHASE_ERRORS,
        idempotent=True,
    )
    def post(self, request: Request) -> Response:
        return super().post(request)

    def shown(self, answer: dict[str, Any]) -> dict[str, Any]:
        return answer


CONFIRM_ERRORS = (
    errors.TransactionNotFound,
    errors.PaymentNotCompleted,
    errors.PaymentMismatch,
    errors.PaymentProviderUnavailable,
)


class ConfirmPayment(APIView):
    output_class: type[ConfirmOutput] = ConfirmOutput

    @documented(
        "Get the vouchers of a payment that Stripe says has succeeded. May be repeated.",
        operation_id="confirm_payment",
        request=ConfirmInput,
        answers={200: ConfirmOutput},
        errors=CONFIRM_ERRORS,
    )
    def post(self, request: Request) -> Response:
        given = ConfirmInput(data=request.data)
        given.is_valid(raise_exception=True)
        transaction = services.confirm_payment(
            user=current_user(request),
            payment_intent_id=given.validated_data["payment_intent_id"],
        )
        vouchers = list(transaction.vouchers)
        answer = {
            "message": selectors.confirmation_message(transaction),
            "transaction": transaction,
            "vouchers": vouchers,
            "voucher_codes": [voucher.shown_code for voucher in vouchers],
        }
        return Response(self.output_class(answer).data)


class Confirm(ConfirmPayment):
    """The same for the older web client."""

    deprecated = True
    output_class = OlderConfirmOutput

    @documented(
        "An older name of confirm-payment.",
        operation_id="confirm_payment",
        request=ConfirmInput,
        answers={200: OlderConfirmOutput},
        errors=CONFIRM_ERRORS,
    )
    def post(self, request: Request) -> Response:
        return super().post(request)


class History(ListAPIView[Transaction]):
    queryset = Transaction.objects.none()  # tells the schema the model
    serializer_class = TransactionOutput
    pagination_class = StandardPagination
    filter_backends = (DjangoFilterBackend,)
    filterset_class = TransactionFilters

    def get_queryset(self) -> QuerySet[Transaction]:
        return selectors.transactions_of(current_user(self.request))

    @documented(
        "My transactions, newest first.",
        operation_id="payment_history",
        answers={200: TransactionOutput(many=True)},
    )
    def get(self, request: Request, *arguments: Any, **options: Any) -> Response:
        return super().get(request, *arguments, **options)


class TransactionDetail(APIView):
    @documented(
        "One of my transactions with its vouchers.",
        operation_id="transaction_detail",
        answers={200: TransactionDetailOutput},
        errors=(errors.TransactionNotFound,),
    )
    def get(self, request: Request, transaction_id: int) -> Response:
        transaction = selectors.transaction_of(current_user(request), transaction_id)
        return Response(TransactionDetailOutput(transaction).data)


class Receipt(APIView):
    content_negotiation_class = IgnoreClientContentNegotiation

    @documented(
        "The receipt of one of my payments, to print or to hand on: it has no codes.",
        operation_id="receipt",
        answers={(200, "application/pdf"): OpenApiTypes.BINARY},
        errors=(errors.TransactionNotFound, errors.NotPaid),
    )
    def get(self, request: Request, transaction_id: int) -> HttpResponse:
        mine = selectors.transactions_of(current_user(request))
        transaction = selectors.paid_transaction(transaction_id, among=mine)
        return file_response(
            receipt_pdf.receipt_pdf(transaction),
            media_type="application/pdf",
            name=receipt_pdf.file_name(transaction),
        )

    @documented(
        "Have the mail with the codes and the receipt of one of my payments sent again.",
        operation_id="receipt_again",
        answers={202: None},
        errors=(errors.TransactionNotFound, errors.NotPaid),
    )
    def post(self, request: Request, transaction_id: int) -> Response:
        mine = selectors.transactions_of(current_user(request))
        transaction = selectors.paid_transaction(transaction_id, among=mine)
        rate_limits.hit(rate_limits.Counter("LIMIT_RECEIPTS", str(current_user(request).pk)))
        services.queue_receipt(transaction)
        return Response(status=202)


class RequestRefund(APIView):
    @documented(
        "Ask for the money of a payment's unused vouchers: they are held at once, staff decide.",
        operation_id="request_refund",
        request=RefundInput,
        answers={201: RefundOutput},
        errors=(
            errors.TransactionNotFound,
            errors.NotPaid,
            errors.NothingToRefund,
            errors.PaymentDisputed,
            AccountClosed,
        ),
        idempotent=True,
    )
    def post(self, request: Request) -> Response:
        given = RefundInput(data=request.data)
        given.is_valid(raise_exception=True)
        user = current_user(request)
        key = idempotency.request_key(request.headers, operation="request_refund", body=request.data)
        earlier = services.earlier_request(user, key)
        if earlier is not None and earlier.answer is not None:
            return Response(earlier.answer, status=201, headers=idempotency.REPLAYED)
        refund = services.request_refund(user=user, key=key, **given.validated_data)
        answer = dict(RefundOutput(refund).data)
        services.store_response(user, key, answer)
        return Response(answer, status=201)


class Refunds(ListAPIView[Refund]):
    queryset = Refund.objects.none()  # tells the schema the model
    serializer_class = RefundOutput
    pagination_class = StandardPagination

    def get_queryset(self) -> QuerySet[Refund]:
        return selectors.refunds_of(current_user(self.request))

    @documented(
        "The refunds of my payments, newest first.",
        operation_id="refunds",
        answers={200: RefundOutput(many=True)},
    )
    def get(self, request: Request, *arguments: Any, **options: Any) -> Response:
        return super().get(request, *arguments, **options)


@method_decorator(csrf_exempt, name="dispatch")
class Webhook(View):
    """Where Stripe delivers events. A plain view: the signature is over the raw body, and it is the sign-in."""

    def post(self, request: HttpRequest) -> HttpResponse:
        # Not `request.body`, which has the limit of forms; `settings.BODY_LIMITS` has the webhook's.
        webhooks.receive(request.read, request.headers.get("Stripe-Signature", ""))
        return JsonResponse({"received": True})
