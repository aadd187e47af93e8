"""What the answer to a confirm tells the buyer of a paid transaction."""

from collections.abc import Collection

from apps.core.money import format_amount

from .models import DisputeOutcome, Transaction, TransactionStatus


def confirmation_message(paid: Transaction, outcomes: Collection[str]) -> str:
    """What to tell the buyer of a paid transaction who comes back from paying it, or asks again much later.

    `outcomes` are those of its disputes.
    """
    if paid.status == TransactionStatus.REFUNDED:
        taken_back = DisputeOutcome.LOST in outcomes
        what = "was taken back by your bank" if taken_back else "was refunded in full"
        return f"This payment {what}. Its vouchers can't be used any more."
    sentences = ["Payment completed."]
    amount = format_amount(paid.amount, paid.currency)
    if paid.amount_refunded:
        refunded = format_amount(paid.amount_refunded, paid.currency)
        sentences.append(f"Of {amount}, {refunded} went back to you.")
    if paid.amount_refunding:
        refunding = format_amount(paid.amount_refunding, paid.currency)
        sentences.append(f"A refund of {refunding} is under way.")
    if DisputeOutcome.OPEN in outcomes:
        sentences.append("Your bank is looking into it: until that has ended, its vouchers can't be used.")
    return " ".join(sentences)
