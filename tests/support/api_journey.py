"""A journey through all operations of the API, for the examples of its description."""

from datetime import timedelta
from typing import Any, Final
from unittest.mock import patch

from django.db import OperationalError
from django.test import override_settings
from django.utils import timezone

from apps.authentication import password_reset_links
from apps.authentication.tests.second_factor import code_of, give_app
from apps.core import health, heartbeats
from apps.users import email_links, unsubscribe_links
from apps.users.models import EmailChange, User
from apps.users.tests.factories import make_other_customer, make_staff
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_type, make_voucher
from tests.support.cases import Client

from .recording import Recorder

EMAIL: Final = "ama.mensah@example.com"
NEW_EMAIL: Final = "ama@mensah.example"
PASSWORD: Final = "plums in the icebox"
NEW_PASSWORD: Final = "wheelbarrow in the rain"
PROFILE: Final = {
    "first_name": "Ama",
    "last_name": "Mensah",
    "phone_number": "+233 20 123 4567",
    "address": "12 Independence Avenue, Accra",
    "date_of_birth": "1999-03-06",
    "expiry_reminders": True,
    "language": "en",
}


class Journey:
    """Ama registers, buys, redeems, asks for a refund, and closes her account; staff look at the figures."""

    def __init__(self, recorder: Recorder, stripe: Any) -> None:
        self.recorder = recorder
        self.stripe = stripe
        self.ama = Client()
        self.anybody = Client()
        self.exams = make_type(
            name="WASSCE results",
            description="Check the results of one candidate, three times.",
            service_type="exam_results",
            price="10.00",
            max_uses=3,
        )
        self.school = make_type(name="School application", service_type="school_application", price="25.00")

    def go(self) -> None:
        """All of it, in order."""
        for part in (
            self.look_around,
            self.register,
            self.confirm_the_address,
            self.sign_in,
            self.change_profile,
            self.buy,
            self.buy_as_older_clients_do,
            self.redeem,
            self.ask_for_a_refund,
            self.look_at_figures,
            self.be_refused_anywhere,
            self.forget_the_password,
            self.change_the_address,
            self.leave,
        ):
            part()

    def send(self, method: str, path: str, body: Any = None, client: Any = None, **options: str) -> Any:
        return self.recorder.send(client or self.ama, method, f"/api/{path}", body, **options)

    def use(self, tokens: dict[str, Any]) -> None:
        """Go on with these tokens."""
        self.refresh = tokens["refresh"]
        self.ama.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens['access']}")

    def look_around(self) -> None:
        for name in heartbeats.NAMES:
            heartbeats.record(name)
        for path in ("", "health/", "health/ready/", "test/", "vouchers/types/"):
            self.send("GET", path, client=self.anybody)
        with patch.object(health, "database", side_effect=OperationalError):  # an interruption
            self.send("GET", "health/ready/", client=self.anybody)

    def register(self) -> None:
        body = {
            "email": EMAIL,
            "password": PASSWORD,
            "password_confirm": PASSWORD,
            "first_name": "Ama",
            "last_name": "Mensah",
        }
        self.use(self.send("POST", "auth/register/", body))
        self.send("POST", "auth/register/", body)  # the address is taken
        self.user = User.objects.get(email=EMAIL)

    def confirm_the_address(self) -> None:
        self.send("POST", "auth/resend-confirmation/", {"email": EMAIL})
        self.send("POST", "auth/resend-confirmation/", {})
        token = self.token_in(email_links.confirmation_url(self.user.pk, EMAIL))
        self.send("POST", "auth/confirm-email/", {"token": token})
        self.send("POST", "auth/confirm-email/", {"token": token})  # it works once
        self.send("POST", "auth/confirm-email/", {"token": "nonsense"})
        self.send("POST", "auth/confirm-email/", {})

    @staticmethod
    def token_in(link: str) -> str:
        return link.partition("#token=")[2]

    def sign_in(self) -> None:
        body = {"email": EMAIL, "password": PASSWORD}
        signed_in = self.send("POST", "auth/login/", body)
        self.send("POST", "auth/login/", {**body, "password": "plums"})
        self.send("POST", "auth/login/", {})
        tokens = self.send("POST", "auth/token/refresh/", {"refresh": signed_in["refresh"]})
        self.send("POST", "auth/refresh/", {"refresh": tokens["refresh"]})
        self.send("POST", "auth/token/verify/", {"token": tokens["access"]})
        for path in ("auth/token/refresh/", "auth/refresh/"):
            self.send("POST", path, {"refresh": "nonsense"})
            self.send("POST", path, {})
        self.send("POST", "auth/token/verify/", {"token": "nonsense"})
        self.send("POST", "auth/token/verify/", {})
        self.use(tokens)

    def change_profile(self) -> None:
        for path in ("users/profile/", "auth/profile/"):
            self.send("PUT", path, PROFILE)
            self.send("PUT", path, {})
            self.send("GET", path)
        for path in ("users/profile/", "auth/profile/", "users/profile/update/"):
            self.send("PATCH", path, {"phone_number": "+233 20 765 4321"})
            self.send("PATCH", path, {"date_of_birth": "tomorrow"})
        body = {
            "old_password": PASSWORD,
            "new_password": NEW_PASSWORD,
            "confirm_password": NEW_PASSWORD,
        }
        self.use(self.send("POST", "users/change-password/", body))
        self.send("POST", "users/change-password/", {**body, "confirm_password": PASSWORD})
        token = unsubscribe_links.token_for(self.user.pk)
        self.send("POST", "users/unsubscribe/", {"token": token})
        self.send("POST", "users/unsubscribe/", {"token": "nonsense"})
        self.send("POST", "users/unsubscribe/", {})

    def buy(self) -> None:
        body = {"voucher_type_id": self.exams.pk, "quantity": 2}
        started = self.send("POST", "vouchers/purchase/", body)["transaction"]
        self.send("POST", "payments/create-payment-intent/", body)
        for path in ("vouchers/purchase/", "payments/create-payment-intent/"):
            self.send("POST", path, {"voucher_type_id": self.exams.pk, "quantity": 11})
            self.send("POST", path, {"voucher_type_id": 999_999})
        self.paid_id = started["id"]
        intent = started["stripe_payment_intent_id"]
        confirm = {"payment_intent_id": intent}
        for path in ("payments/confirm-payment/", "payments/confirm/"):
            self.send("POST", path, confirm)  # not paid yet
            self.send("POST", path, {})
        self.stripe.pay(intent)
        self.codes = self.send("POST", "payments/confirm-payment/", confirm)["voucher_codes"]
        self.send("GET", "payments/history/")
        self.send("GET", "payments/history/?from=yesterday")
        address = f"payments/transaction/{self.paid_id}/"
        self.send("GET", address)
        self.send("GET", f"{address}receipt/")
        self.send("POST", f"{address}receipt/")
        self.send("GET", f"{address}vouchers/pdf/")
        self.send("GET", f"{address}vouchers/pdf/?paper=a3")

    def buy_as_older_clients_do(self) -> None:
        body = {"voucher_type_id": self.school.pk, "quantity": 1}
        started = self.send("POST", "payments/create-intent/", body)
        self.send("POST", "payments/create-intent/", {"voucher_type_id": "nonsense"})
        self.stripe.pay(started["payment_intent_id"])
        intent = {"payment_intent_id": started["payment_intent_id"]}
        answer = self.send("POST", "payments/confirm/", intent)
        (self.other_code,) = answer["voucher_codes"]

    def redeem(self) -> None:
        body = {"code": self.codes[0], "service_type": "exam_results", "details": {"desk": "Accra 3"}}
        self.send("POST", "vouchers/redeem/", body)
        self.send("POST", "vouchers/redeem/", {})
        self.send("POST", "vouchers/redeem/", {**body, "service_type": "placement"})
        self.send("POST", "vouchers/redeem/", {"code": f"{self.codes[0][:-1]}*"})
        used = make_voucher(owner=self.user, voucher_type=self.school, uses_remaining=0)
        self.send("POST", "vouchers/redeem/", {"code": used.shown_code})
        yesterday = timezone.now() - timedelta(days=1)
        expired = make_voucher(owner=self.user, voucher_type=self.school, expiry_date=yesterday)
        self.send("POST", "vouchers/redeem/", {"code": expired.shown_code})
        Voucher.objects.filter(pk__in=(used.pk, expired.pk)).update(user=make_other_customer())
        address = f"vouchers/detail/{self.codes[0]}/"
        self.send("GET", address)
        self.send("GET", f"{address}pdf/")
        self.send("GET", f"{address}qr/")
        self.send("GET", f"{address}qr/?format=gif")
        self.send("GET", f"vouchers/detail/{expired.shown_code}/")
        self.send("GET", "vouchers/my-vouchers/")
        self.send("GET", "vouchers/my-vouchers/?status=lost")
        self.send("GET", "vouchers/usage-history/")
        self.send("GET", "vouchers/usage-history/?from=yesterday")
        self.send("GET", "vouchers/stats/")

    def ask_for_a_refund(self) -> None:
        body = {"payment_id": self.paid_id, "reason": "Bought twice"}
        self.send("POST", "payments/refund/request/", body)
        self.send("POST", "payments/refund/request/", body)  # nothing is left
        self.send("POST", "payments/refund/request/", {})
        self.send("GET", "payments/refunds/")
        self.send("POST", "vouchers/redeem/", {"code": self.codes[1]})

    def look_at_figures(self) -> None:
        stella = Client()
        make_staff(password=PASSWORD)
        body = {"email": "stella@example.com", "password": PASSWORD}
        tokens = stella.post("/api/auth/login/", body).json()
        stella.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens['access']}")
        for path in ("dashboard", "user", "revenue"):
            client = self.ama if path == "user" else stella
            self.send("GET", f"analytics/{path}/?days=2", client=client)
            self.send("GET", f"analytics/{path}/?days=0", client=client)
        self.send("GET", "analytics/revenue/")  # she is no staff
        self.prove_a_second_factor(stella)

    @override_settings(STAFF_SECOND_FACTOR=True)
    def prove_a_second_factor(self, stella: Any) -> None:
        self.send("GET", "analytics/revenue/", client=stella)
        path = "auth/second-factor/"
        self.send("POST", path, {"code": "123456"}, client=stella)  # she has none yet
        app = give_app(User.objects.get(email="stella@example.com"))
        self.send("POST", path, {"code": code_of(app)}, client=stella)
        self.send("POST", path, {"code": "123456"}, client=stella)
        self.send("POST", path, {}, client=stella)

    def be_refused_anywhere(self) -> None:
        """By what no operation has words of its own for."""
        profile = "users/profile/"
        self.send("POST", "auth/login/", client=self.anybody, text="{")
        self.send("POST", "auth/login/", client=self.anybody, text="email", kind="text/plain")
        self.send("GET", profile, client=self.anybody)
        self.send("GET", profile, client=self.anybody, Authorization="Bearer nonsense")
        self.send("GET", profile, Accept="image/png")
        self.send("POST", profile, {})
        self.send("GET", "payments/refunds/?page=99")
        browser = Client(enforce_csrf_checks=True)
        browser.post("/api/auth/login/", {"email": EMAIL, "password": NEW_PASSWORD, "use_cookies": True})
        self.send("PATCH", profile, {}, client=browser)

    def forget_the_password(self) -> None:
        self.send("POST", "auth/password-reset/", {"email": EMAIL})
        self.send("POST", "auth/password-reset/", {})
        link = password_reset_links.link_for(User.objects.get(pk=self.user.pk))
        uid, token = (pair.partition("=")[2] for pair in link.partition("#")[2].split("&"))
        passwords = {"password": PASSWORD, "password_confirm": PASSWORD}
        body = {"uid": uid, "token": token, **passwords}
        self.send("POST", "auth/password-reset-confirm/", body)
        self.send("POST", "auth/password-reset-confirm/", body)  # it works once
        self.send("POST", "auth/password-reset-confirm/", {})

    def change_the_address(self) -> None:
        login = {"email": EMAIL, "password": PASSWORD}
        self.use(self.ama.post("/api/auth/login/", login).json())
        path, body = "users/change-email/", {"new_email": NEW_EMAIL, "password": PASSWORD}
        self.send("POST", path, body)
        self.send("POST", path, {**body, "password": "plums"})
        self.send("GET", path)
        stop = self.token_in(email_links.cancellation_url(self.user.pk, EMAIL))
        self.send("POST", "auth/change-email-cancel/", {"token": stop})
        self.send("POST", "auth/change-email-cancel/", {"token": stop})  # it is over
        self.send("POST", "auth/change-email-cancel/", {})
        self.send("DELETE", path)
        self.ama.post(f"/api/{path}", body)
        token = self.token_in(email_links.change_url(EmailChange.objects.get().pk))
        other = make_other_customer(email=NEW_EMAIL)
        self.send("POST", "auth/change-email-confirm/", {"token": token})  # somebody else has it
        other.delete()
        self.use(self.send("POST", "auth/change-email-confirm/", {"token": token}))
        self.send("POST", "auth/change-email-confirm/", {"token": token})
        self.send("POST", "auth/change-email-confirm/", {})
        User.objects.filter(pk=self.user.pk).update(is_staff=True)
        self.send("POST", path, body)  # staff may not
        User.objects.filter(pk=self.user.pk).update(email=EMAIL, is_staff=False)

    def leave(self) -> None:
        login = {"email": EMAIL, "password": PASSWORD}
        self.use(self.ama.post("/api/auth/login/", login).json())
        self.send("GET", "users/export/")
        self.send("POST", "auth/logout/", {"everywhere": "perhaps"})
        self.send("POST", "auth/logout/", {"refresh": self.refresh})
        self.use(self.ama.post("/api/auth/login/", login).json())
        self.send("DELETE", "users/profile/", {})
        self.send("DELETE", "users/profile/", {"password": PASSWORD})
