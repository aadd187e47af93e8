"""What Stripe's dashboard and a card's statement say of a payment.

Both follow from what the transaction keeps alone, so that a repeated call has the same parameters as the first.
"""

import re
import unicodedata
from typing import Final

# With the account's prefix, which has ten at most, and the two signs that Stripe puts between, not more than 22.
SUFFIX_LENGTH: Final = 10
DESCRIPTION_LENGTH: Final = 1000


def description(*, quantity: int, item: str) -> str:
    """What is bought: "3 × Exam Results Checking"."""
    return f"{quantity} × {item}"[:DESCRIPTION_LENGTH]


def statement_suffix(item: str) -> str:
    """What follows the account's prefix on the statement: "EXAM RESUL"; empty where the name has no Latin letter.

    Stripe takes Latin characters, at least one of them a letter, and none of < > \\ ' " * (docs, "Statement
    descriptors"). Of others that cards' networks may not print, only some are kept.
    """
    plain = unicodedata.normalize("NFKD", item).encode("ascii", "ignore").decode().upper()
    words = " ".join(re.sub(r"[^A-Z0-9 .&/-]", " ", plain).split())
    suffix = words[:SUFFIX_LENGTH].strip(" .&/-")
    return suffix if re.search("[A-Z]", suffix) else ""
