#!/usr/bin/env python3
"""Buys and redeems a voucher at a running installation, with test keys of Stripe: what proves a deployment.

    deploy/try_purchase.py https://api.example.com
    deploy/try_purchase.py http://127.0.0.1:8000 --stripe http://127.0.0.1:12111 --behind-tls

It registers an account of its own, buys the first voucher type that costs something, pays with Stripe's test card, gets
the code, uses it once, and stores and reads a profile picture. With live keys it ends before anything is paid. Standard
library only.
"""

import argparse
import base64
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid
from typing import Any, Final

PATIENCE: Final = 30  # seconds for an answer
PICTURE: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="
)


class Refused(Exception):
    """An answer other than 2xx."""


class Api:
    """The API of one installation."""

    def __init__(self, site: str, headers: dict[str, str]) -> None:
        self.site = site.rstrip("/")
        self.headers = headers

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The answer's JSON. Raises Refused."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        kind = {} if body is None or "Content-Type" in headers else {"Content-Type": "application/json"}
        return json.loads(self.read(method, self.site + path, data, {**kind, **headers}) or b"null")

    def read(self, method: str, url: str, data: bytes | None, headers: dict[str, str]) -> bytes:
        """The answer's bytes. Raises Refused."""
        request = urllib.request.Request(url, data, {**self.headers, **headers}, method=method)  # noqa: S310 - the operator's
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            raise Refused(
                f"{method} {url}: {error.code} {error.read()[:500].decode(errors='replace')}"
            ) from None


def main() -> None:
    """Run all steps, with a line for each."""
    parser = argparse.ArgumentParser(description="Buys and redeems a voucher with test keys of Stripe.")
    parser.add_argument("site")
    parser.add_argument("--stripe", default="https://api.stripe.com", help="where its Stripe is")
    parser.add_argument(
        "--behind-tls", action="store_true", help="say that TLS ended before: past the proxy, by plain HTTP"
    )
    options = parser.parse_args()
    api = Api(options.site, {"X-Forwarded-Proto": "https"} if options.behind_tls else {})

    ready = api.send("GET", "/api/health/ready/")
    print("ready:", ready["checks"])
    account = {"email": f"drill-{uuid.uuid4().hex[:12]}@example.com", "password": f"drill {uuid.uuid4().hex}"}
    names = {"password_confirm": account["password"], "first_name": "Drill", "last_name": "Drill"}
    api.send("POST", "/api/auth/register/", account | names)
    api.headers["Authorization"] = f"Bearer {api.send('POST', '/api/auth/login/', account)['access']}"

    kinds = api.send("GET", "/api/vouchers/types/")
    kind = next((one for one in kinds if float(one["price"]) > 0), None)
    if kind is None:
        sys.exit("There is no voucher type that costs something: python manage.py create_sample_vouchers")
    order = {"voucher_type_id": kind["id"], "quantity": 1}
    purchase = api.send("POST", "/api/vouchers/purchase/", order, **{"Idempotency-Key": str(uuid.uuid4())})
    if not purchase["publishable_key"].startswith("pk_test_"):
        sys.exit("The keys are live: nothing is paid.")
    intent = purchase["transaction"]["stripe_payment_intent_id"]
    pay(options.stripe, intent, purchase["publishable_key"], purchase["client_secret"])
    paid = api.send("POST", "/api/payments/confirm-payment/", {"payment_intent_id": intent})
    print("bought:", kind["name"], len(paid["voucher_codes"]))

    redemption = {"code": paid["voucher_codes"][0], "service_type": kind["service_type"]}
    key = {"Idempotency-Key": str(uuid.uuid4())}
    voucher = api.send("POST", "/api/vouchers/redeem/", redemption, **key)["voucher"]
    print("redeemed, uses left:", voucher["uses_remaining"])
    print("picture:", store_picture(api), "bytes")
    print("It works.")


def pay(stripe: str, intent: str, key: str, secret: str) -> None:
    """Pay as the buyer's browser does, with the test card."""
    form = {"key": key, "client_secret": secret, "payment_method": "pm_card_visa"}
    data = urllib.parse.urlencode(form | {"return_url": "https://example.com/"}).encode()
    answer = Api(stripe, {}).read(
        "POST", f"{stripe.rstrip('/')}/v1/payment_intents/{intent}/confirm", data, {}
    )
    if (status := json.loads(answer)["status"]) != "succeeded":
        sys.exit(f"The payment is {status}.")


def store_picture(api: Api) -> int:
    """Store a picture, read it back from its address, and remove it. Returns its size in bytes."""
    mark = uuid.uuid4().hex
    part = (
        'Content-Disposition: form-data; name="profile_picture"; filename="a.png"\r\nContent-Type: image/png'
    )
    body = f"--{mark}\r\n{part}\r\n\r\n".encode() + PICTURE + f"\r\n--{mark}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={mark}"}
    address = api.send("PATCH", "/api/users/profile/", body, **kind)["profile_picture"]
    path = urllib.parse.urlsplit(address).path
    plain = Api(api.site, {name: value for name, value in api.headers.items() if name != "Authorization"})
    size = len(plain.read("GET", api.site + path, None, {}))
    api.send("PATCH", "/api/users/profile/", {"profile_picture": None})
    return size


if __name__ == "__main__":
    try:
        main()
    except (Refused, OSError) as problem:
        sys.exit(str(problem))
