"""Payments that were made elsewhere or earlier, and are to be known here: they can be read, refunded and disputed.

Nothing is emitted for them: what happened to them has happened.
"""

from __future__ import annotations

from typing import Any

from local_stripe.protocol.currencies import SUPPORTED
from local_stripe.resources import charges, disputes, payment_intent_schema, payment_methods, refunds
from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.state import State, random_text

CARD = "pm_card_visa"
STATUSES = ("succeeded", "canceled", "requires_payment_method")
REFUND_STATUSES = ("pending", *refunds.OUTCOMES)
DISPUTE_STATUSES = (*disputes.OPEN, *disputes.OUTCOMES)

_MISSING: Any = object()


def add(state: State, facts: JsonDict) -> bool:
    """Add the payment that ``facts`` tell of, with its refunds and disputes; False where its id is known already.

    See README.md, "Import", for the fields. Raises ValueError for facts that cannot be.
    """
    # Read everything before anything is stored.
    id = _text(facts, "id")
    if not id.startswith("pi_"):
        raise ValueError("id begins with pi_")
    amount, currency = _number(facts, "amount"), _choice(facts, "currency", sorted(SUPPORTED))
    status, created = _choice(facts, "status", STATUSES), _number(facts, "created")
    labels = _field(facts, "metadata", dict, {})
    if not all(isinstance(value, str) for value in labels.values()):
        raise ValueError("metadata holds strings")
    intent = payment_intent_schema.new({"amount": amount, "currency": currency, "metadata": labels})
    payment_intent_schema.allow(intent, ["card"])
    intent.update(id=id, client_secret=f"{id}_secret_{random_text(25)}", created=created, status=status)
    refund_facts, dispute_facts = _list(facts, "refunds"), _list(facts, "disputes")
    if status != "succeeded" and (refund_facts or dispute_facts):
        raise ValueError("only what succeeded has refunds or disputes")
    if state.find("payment_intent", id) is not None:
        return False
    if status == "canceled":
        intent["canceled_at"] = created
    if status != "succeeded":
        state.add(intent)
        return True

    # The charge that paid it, by one card that stands for all.
    method = _card(state)
    charge = charges.new_unstored(intent, method, "pending")
    charges.succeed(charge)
    charge["created"] = _number(facts, "paid_at", created)
    intent.update(amount_received=amount, latest_charge=charge["id"], payment_method=method["id"])
    objects = [intent, charge]
    objects += [_refund(charge, each) for each in refund_facts]
    objects += [_dispute(charge, each) for each in dispute_facts]
    if charge["amount_refunded"] > amount:
        raise ValueError("more was refunded than paid")
    for obj in objects:
        if state.find(obj["object"], obj["id"]) is not None:
            raise ValueError(f"{obj['id']} belongs to another payment")
    for obj in objects:
        state.add(obj)
    return True


def _refund(charge: JsonDict, facts: JsonDict) -> JsonDict:
    status = _choice(facts, "status", REFUND_STATUSES)
    amount = _number(facts, "amount")
    refund = refunds.new(charge, amount, status, None, _field(facts, "metadata", dict, {}))
    refund.update(id=_text(facts, "id"), created=_number(facts, "created"))
    if status in ("failed", "canceled"):
        refund["failure_reason"] = _field(facts, "failure_reason", str, "") or "unknown"
    else:
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    return refund


def _dispute(charge: JsonDict, facts: JsonDict) -> JsonDict:
    status = _choice(facts, "status", DISPUTE_STATUSES)
    inquiry = status.startswith("warning_")
    amount = _number(facts, "amount")
    if amount > charge["amount"]:
        raise ValueError("more was disputed than paid")
    dispute = disputes.new(charge, amount, _choice(facts, "reason", disputes.REASONS), inquiry)
    dispute.update(id=_text(facts, "id"), created=_number(facts, "created"), status=status)
    dispute["evidence_details"]["due_by"] = _field(facts, "due_by", (int, type(None)), None)
    dispute["is_charge_refundable"] = inquiry or status == "won"
    if not inquiry:
        disputes.withdraw(dispute)
    if status == "won":
        disputes.reinstate(dispute)
    charge["disputed"] = True
    return dispute


def _card(state: State) -> JsonDict:
    """The payment method of all imported payments."""
    for method in state.of_kind("payment_method").values():
        if method["metadata"].get("imported"):
            return method
    method = payment_methods.named(state, CARD)
    method["metadata"]["imported"] = "true"
    return method


def _field(facts: JsonDict, name: str, kind: Any, default: Any = _MISSING) -> Any:
    value = facts.get(name, default)
    fits = isinstance(value, kind) and not isinstance(value, bool)
    if not fits:
        raise ValueError(f"{name} is missing" if value is _MISSING else f"{name} has the wrong type")
    return value


def _text(facts: JsonDict, name: str) -> str:
    text: str = _field(facts, name, str)
    if not 0 < len(text) <= 255:
        raise ValueError(f"{name} has 1 to 255 characters")
    return text


def _number(facts: JsonDict, name: str, default: Any = _MISSING) -> int:
    number: int = _field(facts, name, int, default)
    if number < 1:
        raise ValueError(f"{name} is 1 or more")
    return number


def _choice(facts: JsonDict, name: str, words: Any) -> str:
    word: str = _field(facts, name, str)
    if word not in words:
        raise ValueError(f"{name} is none of those there are")
    return word


def _list(facts: JsonDict, name: str) -> list[JsonDict]:
    rows: list[JsonDict] = _field(facts, name, list, [])
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{name} holds objects")
    return rows
