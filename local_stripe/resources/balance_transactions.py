"""Balance transactions: changes of the account's balance (API reference, "Balance transactions")."""

from __future__ import annotations

from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.state import new_id, now


def adjustment(source: JsonDict, amount: int, fee: int, description: str) -> JsonDict:
    """Money that a dispute takes away (negative) or gives back, with Stripe's fee for it, in minor units."""
    details = [
        {
            "amount": fee,
            "application": None,
            "currency": source["currency"],
            "description": "Dispute fee",
            "type": "stripe_fee",
        }
    ]
    return {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": now(),
        "balance_type": "payments",
        "created": now(),
        "currency": source["currency"],
        "description": description,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": details if fee else [],
        "net": amount - fee,
        "reporting_category": "dispute" if amount < 0 else "dispute_reversal",
        "source": source["id"],
        "status": "available",
        "type": "adjustment",
    }
