"""The journey of a buyer, by the client that openapi-python-client generated into the package `voucher_client`."""

import json
import os
import uuid
from urllib.parse import urlencode
from urllib.request import urlopen

from voucher_client import AuthenticatedClient, Client
from voucher_client.api.auth import logout, register, token_refresh
from voucher_client.api.payments import confirm_payment, payment_history, request_refund
from voucher_client.api.users import profile
from voucher_client.api.vouchers import my_vouchers, purchase, redeem, voucher_types
from voucher_client.models import (
    ConfirmInputRequest,
    LogoutInputRequest,
    PurchaseInputRequest,
    RedeemInputRequest,
    RefreshInputRequest,
    RefundInputRequest,
    RegisterInputRequest,
)

SITE = os.environ["SITE"]
EMAIL = "python@example.com"
PASSWORD = "plums in the icebox"


def pay_by_card(publishable_key, client_secret):
    """What Stripe.js does in a browser."""
    intent = client_secret.partition("_secret_")[0]
    body = {"key": publishable_key, "client_secret": client_secret, "payment_method": "pm_card_visa"}
    address = f"{os.environ['STRIPE']}/v1/payment_intents/{intent}/confirm"
    urlopen(address, urlencode(body).encode(), timeout=30).close()


anybody = Client(base_url=SITE)
person = RegisterInputRequest(email=EMAIL, password=PASSWORD, password_confirm=PASSWORD, first_name="Ama")
signed_in = register.sync(client=anybody, body=person)
pair = token_refresh.sync(client=anybody, body=RefreshInputRequest(refresh=signed_in.refresh))
api = AuthenticatedClient(base_url=SITE, token=pair.access)

(voucher_type, *_) = voucher_types.sync(client=anybody)
body = PurchaseInputRequest(voucher_type_id=voucher_type.id, quantity=2)
started = purchase.sync(client=api, body=body, idempotency_key=str(uuid.uuid4()))
pay_by_card(started.publishable_key, started.client_secret)
intent = ConfirmInputRequest(payment_intent_id=started.transaction.stripe_payment_intent_id)
paid = confirm_payment.sync(client=api, body=intent)

redemption = RedeemInputRequest(code=paid.voucher_codes[0])
redeemed = redeem.sync(client=api, body=redemption)
again = redeem.sync(client=api, body=redemption)
assert again.code == "voucher_used_up", again
history = payment_history.sync(client=api, page_size=1)
refund = request_refund.sync(
    client=api, body=RefundInputRequest(payment_id=history.results[0].id, reason="Bought twice")
)
assert my_vouchers.sync(client=api).count == 2
inactive = redeem.sync(client=api, body=RedeemInputRequest(code=refund.voucher_codes[0]))
assert (inactive.code, inactive.reason) == ("voucher_inactive", "refund_pending"), inactive

logout.sync(client=api, body=LogoutInputRequest())
assert profile.sync(client=api).code == "token_invalid"
facts = {
    "email": EMAIL,
    "codes": paid.voucher_codes,
    "status": redeemed.voucher.status,
    "count": history.count,
    "refunded": refund.voucher_codes,
}
print(json.dumps(facts))
