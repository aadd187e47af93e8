"""The page on which a customer authenticates a payment, or fails to (docs, "3D Secure authentication")."""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from local_stripe.http.dispatch import Answer, Call
from local_stripe.resources import payment_attempts
from local_stripe.runtime.state import INTERNAL_REQUEST, State

PREFIX = "/_3ds/"

_HTML = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def answer(state: State, call: Call) -> Answer:
    """GET shows the two buttons, POST (``outcome=complete`` or ``outcome=fail``) presses one.

    After that a browser is sent to the ``return_url`` of the confirmation, if there was one, with the three
    parameters that Stripe adds.
    """
    token = call.path.removeprefix(PREFIX)
    with state.transaction():
        intent = state.find("payment_intent", state.authentications.get(token))
        if intent is None:
            return _page(404, "<p>This authentication is over, or never was.</p>")
        if call.method == "GET":
            amount = escape(f"{intent['amount']} {intent['currency']}")
            return _page(200, f"<p>Pay {amount} (minor units)?</p>{_BUTTONS}")
        if call.method != "POST":
            return _page(405, "<p>Use GET or POST.</p>")
        outcome = dict(parse_qsl(call.body.decode("latin-1"))).get("outcome")
        if outcome not in ("complete", "fail"):
            return _page(400, f"<p>outcome is complete or fail.</p>{_BUTTONS}")
        return_url = state.return_urls.get(token)
        payment_attempts.settle(
            state, INTERNAL_REQUEST, intent, "succeeded" if outcome == "complete" else "failed"
        )
        if return_url is None:
            return _page(200, f"<p>Payment {escape(intent['status'])}. You may close this page.</p>")
        return Answer(303, b"", {**_HTML, "Location": _with_result(return_url, intent)})


def _with_result(return_url: str, intent: dict[str, str]) -> str:
    parts = urlsplit(return_url)
    added = {
        "payment_intent": intent["id"],
        "payment_intent_client_secret": intent["client_secret"],
        "redirect_status": "failed" if intent["status"] == "requires_payment_method" else "succeeded",
    }
    query = f"{parts.query}&{urlencode(added)}" if parts.query else urlencode(added)
    return urlunsplit(parts._replace(query=query))


_BUTTONS = (
    '<form method="post"><button name="outcome" value="complete">Complete</button> '
    '<button name="outcome" value="fail">Fail</button></form>'
)


def _page(status: int, content: str) -> Answer:
    html = f'<!doctype html><html lang="en"><title>Local Stripe</title><h1>3D Secure test page</h1>{content}'
    return Answer(status, html.encode(), dict(_HTML))
