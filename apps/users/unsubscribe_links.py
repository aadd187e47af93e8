"""Links in reminders by which their reader turns them off: signed, not kept, good for as long as SECRET_KEY is.

Whoever has a link can do no more than that with it.
"""

from typing import Final

from django.conf import settings
from django.core.signing import BadSignature, Signer

_signer: Final = Signer(salt="users.reminder_links")


def token_for(user_id: int) -> str:
    """What lets whoever has it turn off the reminders of this user."""
    return _signer.sign(str(user_id))


def unsubscribe_url(user_id: int) -> str:
    """An address of the web client, for people. The token is in the fragment, which reaches no server's log."""
    return f"{settings.FRONTEND_URL.rstrip('/')}/unsubscribe#token={token_for(user_id)}"


def list_unsubscribe_headers(user_id: int) -> dict[str, str]:
    """The headers by which mail programs show a button for it (RFC 2369, RFC 8058)."""
    address = f"{settings.API_URL.rstrip('/')}/api/users/unsubscribe/?token={token_for(user_id)}"
    return {"List-Unsubscribe": f"<{address}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def user_id_of(token: str) -> int | None:
    """The user whom a token names, if it is one of ours."""
    try:
        return int(_signer.unsign(token))
    except (BadSignature, UnicodeError):
        return None
