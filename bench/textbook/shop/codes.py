import secrets

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


def generate_code():
    """A new code as it is shown: XXXX-XXXX-XXXX-XXXX."""
    symbols = "".join(secrets.choice(ALPHABET) for _ in range(16))
    return "-".join(symbols[start : start + 4] for start in range(0, 16, 4))
