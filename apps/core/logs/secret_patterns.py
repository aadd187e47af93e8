"""What keys and tokens look like in a text: client secrets, API keys, webhook secrets and JSON Web Tokens.

What an app calls a secret of its own, its redactor finds (LOG_REDACTORS).
"""

import re
from typing import Final

# Each with what a text must have in it to hold one: looking for that first is far quicker.
KEYS_AND_TOKENS: Final = (
    ("_secret_", re.compile(r"(?<=_secret_)\w+")),
    ("k_", re.compile(r"(?<=\b[sr]k_)(?:test|live)_\w+")),
    ("whsec_", re.compile(r"(?<=\bwhsec_)\w+")),
    ("eyJ", re.compile(r"(?<![\w-])eyJ[\w-]++\.[\w-]++\.[\w-]*+")),
)
