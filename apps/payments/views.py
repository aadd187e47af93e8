"""Buying vouchers, and what Stripe has to say about it."""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.types import OpenApiTypes
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from apps.core import idempotency, rate_limits
from apps.core.api.content_negotiation import IgnoreClientContentNegotiation
from apps.core.api.downloads import file_response
from apps.core.api.fields import validated
from apps.core.api.lists import Row, RowListView
from apps.core.api.openapi import documented
from apps.core.api.pagination import StandardPagination
from apps.core.api.responses import document_response
from apps.core.idempotency import RequestKey
from apps.users.current_user import current_user
from apps.users.errors import AccountClosed
from apps.vouchers.errors import VoucherTypeNotFound
from apps.vouchers.voucher_pdf import Paper, vouchers_pdf

from . import errors, row_queries, selectors, services, webhooks
from .confirmation_wording import confirmation_message
from .documents import (
    confirm_document,
    older_confirm_document,
    payment_intent_document,
    purchase_document,
    transaction_detail_document,
    transaction_document,
)
from .filters import TransactionFilters
from .models import Refund, Transaction
from .rows import TRANSACTION_COLUMNS, TransactionRow, transaction_row
from .serializers import (
    ConfirmInput,
    ConfirmOutput,
    OlderConfirmOutput,
    OlderPaymentIntentOutput,
    OlderPurchaseInput,
    PaperInput,
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
    errors.FreeLimitReached,
    errors.PurchaseCanceled,
    AccountClosed,
    errors.PaymentProviderUnavailable,
)


Outcome = TypeVar("Outcome", services.Purchase, services.RefundRequest)


class IdempotentView(APIView, Generic[Outcome]):
    """A POST that a client may send again under the same key, and that is answered as it was the first time.

    The service looks the key up: it returns what was started under it, and the first answer if there was one.
    """

    operation: str
    input_class: type[Serializer[Any]]

    def serve(self, request: Request, key: RequestKey | None, **params: Any) -> Outcome:
        """Do what the request is for, or find what it did before."""
        raise NotImplementedError

    def render(self, outcome: Outcome) -> Mapping[str, Any]:
        """The answer to a request that is new."""
        raise NotImplementedError

    def secrets(self, outcome: Outcome) -> dict[str, Any]:
        """What of the answer is never kept, as it is now."""
        return {}

    def shown(self, answer: dict[str, Any]) -> dict[str, Any]:
        """What of the answer as it is kept is shown at this address."""
        return answer

    def answer_once(self, request: Request) -> HttpResponse:
        """Validate, serve and render; a request that was answered before gets that answer again."""
        params = validated(self.input_class, request.data)
        key = idempotency.request_key(request.headers, operation=self.operation, body=request.data)
        outcome = self.serve(request, key, **params)
        secrets = self.secrets(outcome)
        if outcome.first_answer is not None:
            answer = {**outcome.first_answer, **secrets}
            return document_response(request, self.shown(answer), status=201, headers=idempotency.REPLAYED)
        answer = dict(self.render(outcome))
        services.store_response(current_user(request), key, {**answer, **dict.fromkeys(secrets)})
        return document_response(request, self.shown(answer), status=201)


class StartPurchase(IdempotentView[services.Purchase]):
    """What the addresses that start a purchase share; they differ in the shape of the answer."""

    input_class: type[PurchaseInput] = PurchaseInput

    def serve(self, request: Request, key: RequestKey | None, **params: Any) -> services.Purchase:
        network = rate_limits.per_network("LIMIT_UNPAID_PURCHASES_PER_NETWORK", request)
        return services.start_purchase(user=current_user(request), key=key, network=network, **params)

    def secrets(self, outcome: services.Purchase) -> dict[str, Any]:
        return {"client_secret": outcome.client_secret}


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
    def post(self, request: Request) -> HttpResponse:
        return self.answer_once(request)

    def render(self, outcome: services.Purchase) -> Mapping[str, Any]:
        started = outcome.transaction
        return purchase_document(
            transaction_row(started),
            row_queries.voucher_rows(started) if started.is_paid else (),
            timezone.now(),
            client_secret=outcome.client_secret,
            publishable_key=settings.STRIPE_PUBLISHABLE_KEY,
        )


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
    def post(self, request: Request) -> HttpResponse:
        return self.answer_once(request)

    def shown(self, answer: dict[str, Any]) -> dict[str, Any]:
        return {name: answer[name] for name in PaymentIntentOutput._declared_fields}

    def render(self, outcome: services.Purchase) -> Mapping[str, Any]:
        """For both addresses of this operation, as a key that was sent to one may come back at the other."""
        return payment_intent_document(
            transaction_row(outcome.transaction),
            client_secret=outcome.client_secret,
            publishable_key=settings.STRIPE_PUBLISHABLE_KEY,
        )


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
    def post(self, request: Request) -> HttpResponse:
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
    document = staticmethod(confirm_document)

    @documented(
        "Get the vouchers of a payment that Stripe says has succeeded. May be repeated.",
        operation_id="confirm_payment",
        request=ConfirmInput,
        answers={200: ConfirmOutput},
        errors=CONFIRM_ERRORS,
    )
    def post(self, request: Request) -> HttpResponse:
        params = validated(ConfirmInput, request.data)
        confirmation = services.confirm_payment(
            user=current_user(request),
            payment_intent_id=params["payment_intent_id"],
        )
        paid = confirmation.transaction
        document = self.document(
            transaction_row(paid),
            row_queries.voucher_rows(paid),
            timezone.now(),
            message=confirmation_message(paid, confirmation.dispute_outcomes),
        )
        return document_response(request, document)


class Confirm(ConfirmPayment):
    """The same for the older web client."""

    deprecated = True
    document = staticmethod(older_confirm_document)

    @documented(
        "An older name of confirm-payment.",
        operation_id="confirm_payment",
        request=ConfirmInput,
        answers={200: OlderConfirmOutput},
        errors=CONFIRM_ERRORS,
    )
    def post(self, request: Request) -> HttpResponse:
        return super().post(request)


class History(RowListView[Transaction]):
    queryset = Transaction.objects.none()  # tells the schema the model
    serializer_class = TransactionOutput
    filterset_class = TransactionFilters
    columns = TRANSACTION_COLUMNS

    def get_queryset(self) -> QuerySet[Transaction]:
        return selectors.transactions_of(current_user(self.request))

    def first_rows(self, *, limit: int, offset: int) -> Sequence[Row]:
        return row_queries.first_transactions_of(current_user(self.request), limit=limit, offset=offset)

    def documents(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        return [transaction_document(TransactionRow._make(row)) for row in rows]

    @documented(
        "My transactions, newest first.",
        operation_id="payment_history",
        answers={200: TransactionOutput(many=True)},
    )
    def get(self, request: Request) -> HttpResponse:
        return self.list_response(request)


class TransactionDetail(APIView):
    @documented(
        "One of my transactions with its vouchers.",
        operation_id="transaction_detail",
        answers={200: TransactionDetailOutput},
        errors=(errors.TransactionNotFound,),
    )
    def get(self, request: Request, transaction_id: int) -> HttpResponse:
        row = row_queries.transaction_row_of(current_user(request), transaction_id)
        vouchers = row_queries.voucher_rows_of(row.id)
        return document_response(request, transaction_detail_document(row, vouchers, timezone.now()))


class VouchersPdf(APIView):
    content_negotiation_class = IgnoreClientContentNegotiation

    @documented(
        "All vouchers of one of my payments, to print: with their codes, and each with its state.",
        operation_id="transaction_vouchers_pdf",
        parameters=[PaperInput],
        answers={(200, "application/pdf"): OpenApiTypes.BINARY},
        errors=(errors.TransactionNotFound, errors.NotPaid),
    )
    def get(self, request: Request, transaction_id: int) -> HttpResponse:
        params = validated(PaperInput, request.query_params)
        mine = selectors.transactions_of(current_user(request))
        paid = selectors.paid_transaction(transaction_id, among=mine)
        content = vouchers_pdf(paid.vouchers, Paper(params["paper"]))
        return file_response(content, media_type="application/pdf", name=f"vouchers-{paid.pk}.pdf")


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
        name, content = services.print_receipt(transaction)
        return file_response(content, media_type="application/pdf", name=name)

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


class RequestRefund(IdempotentView[services.RefundRequest]):
    operation = "request_refund"
    input_class = RefundInput

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
    def post(self, request: Request) -> HttpResponse:
        return self.answer_once(request)

    def serve(self, request: Request, key: RequestKey | None, **params: Any) -> services.RefundRequest:
        return services.request_refund(user=current_user(request), key=key, **params)

    def render(self, outcome: services.RefundRequest) -> Any:
        return RefundOutput(outcome.refund).data


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
