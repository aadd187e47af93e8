"""``Emulator``: the local Stripe without its port: pay, refund, dispute, and steer webhooks and faults from Python."""

from __future__ import annotations

import copy
import dataclasses
import logging
import os
from pathlib import Path
from typing import Any

from local_stripe.protocol import faults
from local_stripe.protocol.params import merged_metadata
from local_stripe.resources import disputes, payment_attempts, payment_import, payment_intents, refunds
from local_stripe.runtime import webhooks
from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.scheduler import Scheduler
from local_stripe.runtime.state import INTERNAL_REQUEST, Request, State, now
from local_stripe.runtime.storage import Storage, UnreadableError, set_aside

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SignedEvent:
    """A webhook as it would arrive: the raw body, and the value of its ``Stripe-Signature`` header."""

    body: bytes
    signature: str


class Emulator:
    """One Stripe account. See ``LocalStripe`` for the arguments."""

    def __init__(
        self,
        webhook_url: str | None,
        webhook_secret: str,
        *,
        retry_delays: tuple[float, ...],
        delivery_timeout: float,
        settle_after: float | None,
        state_file: str | os.PathLike[str] | None,
    ) -> None:
        self._state = State()
        self._webhooks = webhooks.Webhooks(
            self._state, webhook_url, webhook_secret, tuple(retry_delays), delivery_timeout
        )
        self._state.on_event = self._webhooks.schedule
        self._later = Scheduler(self._state, settle_after)
        self._state.later = self._later.add
        self.set_aside: Path | None = None
        if state_file is not None:
            self._load(state_file)

    def _load(self, state_file: str | os.PathLike[str]) -> None:
        """Go on from the file; begin anew where it can't be read, which is then kept under another name."""
        try:
            self._state.load(Storage(state_file))
        except UnreadableError as error:
            self._state.clear()
            self.set_aside = set_aside(state_file)
            logger.warning("%s can't be read (%s): it is kept as %s", state_file, error, self.set_aside)
            self._state.load(Storage(state_file))
        with self._state.transaction():
            refunds.resume_second_steps(self._state)
            disputes.resume_decisions(self._state)
            self._webhooks.resume_undelivered()

    @property
    def state(self) -> State:
        """The memory; hold its ``lock`` while you read it."""
        return self._state

    @property
    def webhook_secret(self) -> str:
        """The secret that signs webhooks."""
        return self._webhooks.secret

    def reset(self) -> None:
        """Forget objects, events, idempotency keys, faults, logs, due deliveries and the pause; the endpoint
        stays."""
        with self._state.transaction():
            self._state.clear()
            self._webhooks.clear()
            self._later.clear()

    def import_payments(self, payments: list[JsonDict]) -> tuple[int, int]:
        """Make payments known that were made elsewhere or earlier; how many were new, and how many known already.

        See README.md, "Import". Emits nothing. Raises ValueError for one that cannot be; those before it stay.
        """
        with self._state.transaction():
            new = sum(payment_import.add(self._state, facts) for facts in payments)
        return new, len(payments) - new

    def pay(self, payment_intent: str, payment_method: str = "pm_card_visa") -> JsonDict:
        """Confirm an intent as the customer's browser would, without HTTP.

        Raises LookupError for an unknown intent, StripeError for what confirm refuses or declines.
        """
        with self._state.transaction():
            intent = self._intent(payment_intent)
            params = {"client_secret": intent["client_secret"], "payment_method": payment_method}
            path = f"/v1/payment_intents/{payment_intent}/confirm"
            request = Request("POST", path, params, publishable=True)
            return copy.deepcopy(payment_intents.confirm(self._state, request, payment_intent))

    def settle(self, payment_intent: str, outcome: str = "succeeded") -> JsonDict:
        """End ``processing`` or ``requires_action`` as "succeeded" or "failed"; returns the intent.

        Raises ValueError for another outcome, LookupError for an unknown intent, StripeError if it waits for
        nothing.
        """
        if outcome not in ("succeeded", "failed"):
            raise ValueError("outcome is succeeded or failed")
        with self._state.transaction():
            intent = self._intent(payment_intent)
            payment_attempts.settle(self._state, INTERNAL_REQUEST, intent, outcome)
            return copy.deepcopy(intent)

    def refund(
        self,
        payment_intent: str,
        amount: int | None = None,
        *,
        reason: str | None = None,
        metadata: dict[str, str] | None = None,
    ) -> JsonDict:
        """Refund an intent as in Stripe's Dashboard: ``amount`` in minor units, None for all that is left.

        Returns the refund. Raises LookupError for an unknown intent, ValueError for an amount or a reason that
        cannot be, StripeError for what ``POST /v1/refunds`` refuses too.
        """
        if (amount is not None and amount < 1) or reason not in (None, *refunds.REASONS):
            raise ValueError(f"amount is 1 or more, reason one of {', '.join(refunds.REASONS)}")
        with self._state.transaction():
            charge = refunds.paid_charge(self._state, self._intent(payment_intent))
            refund = refunds.make(
                self._state, INTERNAL_REQUEST, charge, amount, reason, merged_metadata({}, metadata)
            )
            return copy.deepcopy(refund)

    def settle_refund(self, refund: str, outcome: str = "succeeded") -> JsonDict:
        """Bring a refund to its end: "succeeded", "failed" (also after it succeeded), "canceled" (as in the
        Dashboard), or let it wait for the customer: "requires_action". Returns the refund.

        Raises ValueError for another outcome, LookupError for an unknown refund, StripeError if it has ended.
        """
        if outcome not in refunds.OUTCOMES:
            raise ValueError(f"outcome is one of {', '.join(refunds.OUTCOMES)}")
        with self._state.transaction():
            refund_object = self._find("refund", refund)
            refunds.end(self._state, INTERNAL_REQUEST, refund_object, outcome)
            return copy.deepcopy(refund_object)

    def refunds(self, payment_intent: str | None = None) -> list[JsonDict]:
        """Copies of the refunds, oldest first: all, or those of an intent."""
        return self._of_payment("refund", payment_intent)

    def dispute(
        self,
        payment_intent: str,
        amount: int | None = None,
        *,
        reason: str = "fraudulent",
        inquiry: bool = False,
    ) -> JsonDict:
        """Let the customer's bank dispute a paid intent: ``amount`` in minor units, None for all that was not
        refunded. An ``inquiry`` takes no money yet. Returns the dispute.

        Raises LookupError for an unknown intent, ValueError for an unknown reason, StripeError when it was not
        paid, is refunded or disputed already.
        """
        if reason not in disputes.REASONS:
            raise ValueError(f"reason is one of {', '.join(disputes.REASONS)}")
        with self._state.transaction():
            charge = refunds.paid_charge(self._state, self._intent(payment_intent))
            return copy.deepcopy(disputes.begin(self._state, charge, amount, reason, inquiry=inquiry))

    def close_dispute(self, dispute: str, outcome: str) -> JsonDict:
        """End a chargeback as "won" or "lost", an inquiry as "warning_closed". Returns the dispute.

        Raises ValueError for another outcome, LookupError for an unknown dispute, StripeError if it is closed
        or cannot have this outcome.
        """
        if outcome not in disputes.OUTCOMES:
            raise ValueError(f"outcome is one of {', '.join(disputes.OUTCOMES)}")
        with self._state.transaction():
            dispute_object = self._find("dispute", dispute)
            disputes.end(self._state, INTERNAL_REQUEST, dispute_object, outcome)
            return copy.deepcopy(dispute_object)

    def escalate_dispute(self, dispute: str) -> JsonDict:
        """Turn an inquiry into a chargeback; returns the dispute. Raises LookupError, or StripeError if it is none."""
        with self._state.transaction():
            dispute_object = self._find("dispute", dispute)
            disputes.escalate(self._state, dispute_object)
            return copy.deepcopy(dispute_object)

    def disputes(self, payment_intent: str | None = None) -> list[JsonDict]:
        """Copies of the disputes, oldest first: all, or those of an intent."""
        return self._of_payment("dispute", payment_intent)

    def charges(self, payment_intent: str | None = None) -> list[JsonDict]:
        """Copies of the charges, oldest first: all, or those of an intent, also failed ones."""
        return self._of_payment("charge", payment_intent)

    def override_payment_intent(self, payment_intent: str, fields: JsonDict) -> JsonDict:
        """Set raw fields of an intent, such as ``amount_received``, to simulate a mismatch. Emits nothing."""
        if "id" in fields or "object" in fields:
            raise ValueError("id and object cannot be overridden")
        with self._state.transaction():
            intent = self._intent(payment_intent)
            intent.update(copy.deepcopy(fields))
            return copy.deepcopy(intent)

    def payment_intent(self, id: str) -> JsonDict:
        """A copy of an intent. Raises LookupError."""
        with self._state.lock:
            return copy.deepcopy(self._intent(id))

    def events(self, type: str | None = None) -> list[JsonDict]:
        """Copies of the events so far, oldest first, or of those of one type."""
        with self._state.lock:
            events = [e for e in self._state.of_kind("event").values() if type in (None, e["type"])]
            return copy.deepcopy(events)

    def requests(self) -> list[JsonDict]:
        """The calls of ``/v1`` so far, oldest first: method, path, params, idempotency_key, key (its kind),
        status (None: connection dropped), replayed, request_id, at. Never a key or a client secret."""
        with self._state.lock:
            return copy.deepcopy(list(self._state.requests))

    def add_fault(self, **spec: Any) -> None:
        """Let the next requests fail; see ``faults.Fault`` for the names. Raises ValueError for a bad one."""
        fault = faults.fault_of(spec)
        with self._state.lock:
            self._state.faults.append(fault)

    def faults(self) -> list[JsonDict]:
        """The faults not yet used up."""
        with self._state.lock:
            return [dataclasses.asdict(fault) for fault in self._state.faults]

    def set_webhook_endpoint(self, url: str | None, secret: str | None = None) -> None:
        """Send events to ``url`` from now on, signed with ``secret`` (None keeps the old one)."""
        self._webhooks.set_endpoint(url, secret)

    def pause_webhooks(self) -> None:
        """Queue deliveries instead of sending them."""
        self._webhooks.pause()

    def resume_webhooks(self, *, discard: bool = False) -> int:
        """Send the queued deliveries, or with ``discard`` drop them. Returns the number of deliveries due."""
        return self._webhooks.resume(discard)

    def wait_for_webhooks(self, timeout: float = 5.0) -> bool:
        """Wait until every delivery and retry is done; False when that took too long or they are paused."""
        return self._webhooks.wait(timeout)

    def redeliver(self, event: str, *, times: int = 1, parallel: bool = False) -> list[JsonDict]:
        """Send an event again, now, also while paused. Returns the deliveries. Raises LookupError."""
        with self._state.lock:
            event_object = self._event(event)
        return self._webhooks.redeliver(event_object, times, parallel)

    def deliveries(self) -> list[JsonDict]:
        """Every attempt so far: event, type, url, attempt, at, status, error, delivered."""
        with self._state.lock:
            return copy.deepcopy(list(self._webhooks.deliveries))

    def signed_event(self, event: str, *, timestamp: int | None = None) -> SignedEvent:
        """An event to post oneself, signed for ``timestamp`` (now). Raises LookupError."""
        with self._state.lock:
            body = webhooks.body_of(self._event(event))
            secret = self._webhooks.secret
        return SignedEvent(body, webhooks.signature(body, secret, now() if timestamp is None else timestamp))

    def _intent(self, id: str) -> JsonDict:
        return self._find("payment_intent", id)

    def _event(self, id: str) -> JsonDict:
        return self._find("event", id)

    def _find(self, kind: str, id: str) -> JsonDict:
        obj = self._state.find(kind, id)
        if obj is None:
            raise LookupError(f"No such {kind}: {id}")
        return obj

    def _of_payment(self, kind: str, payment_intent: str | None) -> list[JsonDict]:
        with self._state.lock:
            objects = self._state.of_kind(kind).values()
            return copy.deepcopy([o for o in objects if payment_intent in (None, o["payment_intent"])])
