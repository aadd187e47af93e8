"""Stripe's objects as ours: what we need of each, amounts in the major unit. The gateway hands them in and out."""

from __future__ import annotations  # Stripe's classes take a tenth of the start, and are only named here

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import stripe

from . import stripe_amounts
from .errors import CurrencyNotSupported, PaymentProviderUnavailable

log = logging.getLogger(__name__)


class NotAtStripe(Exception):
    """Stripe knows no such object, or none that could be ours."""


@dataclass(frozen=True)
class Refund:
    """A refund as Stripe has it now, ours or one from its dashboard. `amount` is in the major unit.

    `status` is pending, requires_action, succeeded, failed or canceled; `reference` is our own UUID, or "".
    """

    id: str
    intent_id: str
    status: str
    amount: Decimal
    currency: str
    reference: str
    failure_reason: str

    @property
    def reference_uuid(self) -> UUID | None:
        """The reference, if it can be one of ours."""
        return parse_uuid(self.reference)

    def counts(self) -> bool:
        """Whether it went back or is on its way, and did not come to nothing."""
        return self.status not in ("failed", "canceled")


@dataclass(frozen=True)
class Dispute:
    """A dispute as Stripe has it now; `status` in Stripe's words ("Disputes": needs_response, won, lost …).

    `respond_by` is until when the bank takes evidence (`evidence_details.due_by`), None where it takes none.
    """

    id: str
    intent_id: str
    status: str
    amount: Decimal
    currency: str
    reason: str
    respond_by: datetime | None = None


@dataclass(frozen=True)
class Intent:
    """A payment intent as Stripe has it now. Amounts are in the currency's major unit.

    `refunds`, the oldest first, and `disputes` are what may keep its vouchers from being redeemed. Only
    `fetch_intent` looks them up; an intent from a list, or a new one, has none.
    """

    id: str
    status: str
    amount: Decimal
    amount_received: Decimal
    currency: str
    order_id: str
    client_secret: str = field(repr=False)
    installation: str = ""  # which of those that share the account created it; "" before they wrote it down
    refunds: tuple[Refund, ...] = ()
    disputes: tuple[Dispute, ...] = ()

    @property
    def order_uuid(self) -> UUID | None:
        """The order id, if it can be one of ours."""
        return parse_uuid(self.order_id)

    @property
    def succeeded(self) -> bool:
        return self.status == "succeeded"

    @property
    def canceled(self) -> bool:
        return self.status == "canceled"


@dataclass(frozen=True)
class Event:
    """What a signed event says: something happened to the object with this id. Not to be trusted for more."""

    id: str
    type: str
    object_id: str


def to_intent(stripe_intent: stripe.PaymentIntent) -> Intent:
    """Raises NotAtStripe or PaymentProviderUnavailable."""
    with _reading("an intent"):
        currency = stripe_intent.currency.upper()
        metadata = getattr(stripe_intent, "metadata", None)
        received = getattr(stripe_intent, "amount_received", None)
        if received is None:  # which Stripe may leave out; we never capture a part
            received = stripe_intent.amount if stripe_intent.status == "succeeded" else 0
        return Intent(
            id=stripe_intent.id,
            status=stripe_intent.status,
            amount=stripe_amounts.from_minor(stripe_intent.amount, currency),
            amount_received=stripe_amounts.from_minor(received, currency),
            currency=currency,
            order_id=str(getattr(metadata, "order_id", "") or ""),
            client_secret=getattr(stripe_intent, "client_secret", "") or "",
            installation=str(getattr(metadata, "installation", "") or ""),
        )


def to_refund(stripe_refund: stripe.Refund) -> Refund:
    """Raises NotAtStripe or PaymentProviderUnavailable."""
    with _reading("a refund"):
        currency = stripe_refund.currency.upper()
        metadata = getattr(stripe_refund, "metadata", None)
        return Refund(
            id=stripe_refund.id,
            intent_id=id_of(getattr(stripe_refund, "payment_intent", None)),
            status=stripe_refund.status or "",
            amount=stripe_amounts.from_minor(stripe_refund.amount, currency),
            currency=currency,
            reference=str(getattr(metadata, "refund_id", "") or ""),
            failure_reason=str(getattr(stripe_refund, "failure_reason", "") or ""),
        )


def to_dispute(stripe_dispute: stripe.Dispute) -> Dispute:
    """Raises NotAtStripe or PaymentProviderUnavailable."""
    with _reading("a dispute"):
        currency = stripe_dispute.currency.upper()
        due_by = getattr(getattr(stripe_dispute, "evidence_details", None), "due_by", None)
        return Dispute(
            id=stripe_dispute.id,
            intent_id=id_of(getattr(stripe_dispute, "payment_intent", None)),
            status=stripe_dispute.status,
            amount=stripe_amounts.from_minor(stripe_dispute.amount, currency),
            currency=currency,
            reason=stripe_dispute.reason,
            respond_by=datetime.fromtimestamp(due_by, tz=UTC) if due_by else None,
        )


def id_of(reference: object) -> str:
    """The id in a member that is an id, an expanded object, or null. Raises NotAtStripe for the last."""
    object_id = reference if isinstance(reference, str) else getattr(reference, "id", None)
    if not object_id:
        raise NotAtStripe
    return str(object_id)


def parse_uuid(text: str) -> UUID | None:
    """The UUID that a text is, or None."""
    try:
        return UUID(text)
    except ValueError:
        return None


@contextmanager
def _reading(kind: str) -> Iterator[None]:
    """Raises NotAtStripe for what can't be ours, and PaymentProviderUnavailable for a shape that we don't know."""
    try:
        yield
    except CurrencyNotSupported as error:  # another shop's, on the same account: we never ask for one
        raise NotAtStripe from error
    except (AttributeError, TypeError, ArithmeticError) as error:
        log.error("Stripe: %s in a shape that we don't know (%s)", kind, type(error).__name__)
        raise PaymentProviderUnavailable from error
