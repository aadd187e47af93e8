"""Who may call what: every operation of the OpenAPI document has a row here, and each row is tried by everyone."""

from typing import Final

from django.conf import settings
from django.contrib.auth.models import Permission
from django.test.utils import tag
from drf_spectacular.generators import SchemaGenerator

from apps.payments.tests.factories import make_completed_transaction
from apps.users.tests.factories import (
    make_customer,
    make_deactivated,
    make_other_customer,
    make_staff,
    make_user,
)
from apps.vouchers import services as voucher_services
from apps.vouchers.models import Voucher
from tests.support.cases import ApiTestCase, Client
from tests.support.stripe import StripeTestCase

PUBLIC, SIGNED_IN, OWNER = "public", "signed in", "owner"
# Staff need the permission, and without it get what anybody gets; the permission alone makes nobody staff.
VIEW_FIGURES, OWNER_OR_VIEW_VOUCHERS = "staff who may view figures", "owner, and staff who may view vouchers"

TABLE: Final = {
    "GET /api/": PUBLIC,
    "GET /api/analytics/dashboard/": SIGNED_IN,
    "GET /api/analytics/revenue/": VIEW_FIGURES,
    "GET /api/analytics/user/": SIGNED_IN,
    "POST /api/auth/change-email-cancel/": PUBLIC,
    "POST /api/auth/change-email-confirm/": PUBLIC,
    "POST /api/auth/confirm-email/": PUBLIC,
    "POST /api/auth/login/": PUBLIC,
    "POST /api/auth/logout/": SIGNED_IN,
    "POST /api/auth/password-reset/": PUBLIC,
    "POST /api/auth/password-reset-confirm/": PUBLIC,
    "GET /api/auth/profile/": SIGNED_IN,
    "PUT /api/auth/profile/": SIGNED_IN,
    "PATCH /api/auth/profile/": SIGNED_IN,
    "POST /api/auth/refresh/": PUBLIC,
    "POST /api/auth/register/": PUBLIC,
    "POST /api/auth/resend-confirmation/": PUBLIC,
    "POST /api/auth/second-factor/": SIGNED_IN,
    "POST /api/auth/token/refresh/": PUBLIC,
    "POST /api/auth/token/verify/": PUBLIC,
    "GET /api/health/": PUBLIC,
    "GET /api/health/ready/": PUBLIC,
    "POST /api/payments/confirm-payment/": SIGNED_IN,
    "POST /api/payments/confirm/": SIGNED_IN,
    "POST /api/payments/create-intent/": SIGNED_IN,
    "POST /api/payments/create-payment-intent/": SIGNED_IN,
    "POST /api/payments/refund/request/": SIGNED_IN,
    "GET /api/payments/refunds/": SIGNED_IN,
    "GET /api/payments/history/": SIGNED_IN,
    "GET /api/payments/transaction/{transaction_id}/": OWNER,
    "GET /api/payments/transaction/{transaction_id}/receipt/": OWNER,
    "POST /api/payments/transaction/{transaction_id}/receipt/": OWNER,
    "GET /api/payments/transaction/{transaction_id}/vouchers/pdf/": OWNER,
    "GET /api/test/": PUBLIC,
    "GET /api/users/change-email/": SIGNED_IN,
    "POST /api/users/change-email/": SIGNED_IN,
    "DELETE /api/users/change-email/": SIGNED_IN,
    "POST /api/users/change-password/": SIGNED_IN,
    "GET /api/users/export/": SIGNED_IN,
    "POST /api/users/unsubscribe/": PUBLIC,
    "GET /api/users/profile/": SIGNED_IN,
    "DELETE /api/users/profile/": SIGNED_IN,
    "PUT /api/users/profile/": SIGNED_IN,
    "PATCH /api/users/profile/": SIGNED_IN,
    "PATCH /api/users/profile/update/": SIGNED_IN,
    "GET /api/vouchers/detail/{code}/": OWNER_OR_VIEW_VOUCHERS,
    "GET /api/vouchers/detail/{code}/pdf/": OWNER_OR_VIEW_VOUCHERS,
    "GET /api/vouchers/detail/{code}/qr/": OWNER_OR_VIEW_VOUCHERS,
    "GET /api/vouchers/my-vouchers/": SIGNED_IN,
    "POST /api/vouchers/purchase/": SIGNED_IN,
    "POST /api/vouchers/redeem/": SIGNED_IN,
    "GET /api/vouchers/stats/": SIGNED_IN,
    "GET /api/vouchers/types/": PUBLIC,
    "GET /api/vouchers/usage-history/": SIGNED_IN,
}
MAY_VIEW: Final = ("superuser", "staff with the permissions")
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


def with_permissions(user):
    """The user, with the permissions that the table names."""
    codenames = ("view_figures", "view_voucher")
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


@tag("server", "smoke")
class AccessTests(StripeTestCase, ApiTestCase):
    def setUp(self):
        super().setUp()
        self.people = {
            "owner": make_customer(),
            "another": make_other_customer(),
            "superuser": make_staff(),
            "staff without permissions": make_user(is_staff=True),
            "staff with the permissions": with_permissions(make_user(is_staff=True)),
            "former staff": with_permissions(make_user()),
            "deactivated": make_deactivated(),
        }
        transaction = make_completed_transaction(user=self.people["owner"])
        self.names = {"transaction_id": str(transaction.pk), "code": Voucher.objects.get().shown_code}

    def call(self, operation, person):
        method, path = operation.split()
        # A new session for each call: some of them end it.
        client = self.signed_in(self.people[person]) if person else Client()
        return client.generic(method, path.format(**self.names), "{}", content_type="application/json")

    def test_every_operation_of_the_schema_has_a_row(self):
        paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
        operations = {
            f"{method.upper()} {path}"
            for path, item in paths.items()
            for method in item
            if method != "parameters"
        }
        self.assertEqual(operations, set(TABLE))

    def test_nobody_gets_further_than_their_row_says(self):
        for operation, allowed in TABLE.items():
            for person in (None, *self.people):
                with self.subTest(operation, person=person):
                    response = self.call(operation, person)
                    if allowed == PUBLIC:
                        # What is public says no because of the body, not because of the person.
                        self.assertNotIn(response.status_code, (403, 404))
                    elif person is None:
                        self.assertProblem(response, 401, "not_authenticated")
                    elif person == "deactivated":
                        self.assertProblem(response, 401, "token_invalid")
                    elif allowed == VIEW_FIGURES and person not in MAY_VIEW:
                        self.assertProblem(response, 403, "permission_denied")
                    elif (allowed == OWNER and person != "owner") or (
                        allowed == OWNER_OR_VIEW_VOUCHERS and person not in ("owner", *MAY_VIEW)
                    ):
                        self.assertEqual(response.status_code, 404)
                    else:
                        self.assertIn(response.status_code, (200, 202, 204, 400))

    def test_the_scope_of_the_dashboard_is_the_platform_for_staff_who_may_view_figures(self):
        for person in self.people.keys() - {"deactivated"}:
            with self.subTest(person):
                scope = self.call("GET /api/analytics/dashboard/", person).json()["scope"]
                self.assertEqual(scope, "platform" if person in MAY_VIEW else "personal")

    def test_who_acted_is_for_staff_who_may_view_vouchers(self):
        voucher = Voucher.objects.get()
        voucher_services.suspend_vouchers([voucher.pk], actor=self.people["another"], reason="x")
        Voucher.objects.update(user=self.people["staff without permissions"])
        for person, actor in (
            ("staff without permissions", "staff"),
            ("staff with the permissions", self.people["another"].email),
        ):
            with self.subTest(person):
                history = self.call("GET /api/vouchers/detail/{code}/", person).json()["history"]
                self.assertEqual(history[-1]["actor"], actor)

    def test_other_methods_are_refused(self):
        known: dict[str, set[str]] = {}
        for operation in TABLE:
            method, path = operation.split()
            known.setdefault(path, set()).add(method)
        for path, methods in known.items():
            for method in set(METHODS) - methods:
                with self.subTest(method=method, path=path):
                    response = self.call(
                        f"{method} {path}",
                        "superuser" if TABLE[f"{min(methods)} {path}"] == VIEW_FIGURES else "owner",
                    )
                    self.assertProblem(response, 405, "method_not_allowed")
                    self.assertLessEqual(methods, set(response.headers["Allow"].split(", ")))

    def test_nothing_that_a_body_claims_makes_anyone_more_than_they_are(self):
        owner = self.people["owner"]
        claims = {
            "id": 1,
            "user": self.people["superuser"].pk,
            "is_staff": True,
            "is_superuser": True,
            "is_active": False,
            "email": "new@example.com",
            "password": "another pass phrase",
            "date_joined": "2000-01-01T00:00:00Z",
            "groups": [1],
        }
        before = type(owner).objects.values().get(pk=owner.pk)
        for method, path in (("PATCH", "/api/users/profile/"), ("PATCH", "/api/auth/profile/")):
            response = getattr(self.signed_in(owner), method.lower())(path, claims)
            self.assertEqual(response.status_code, 200)
            self.assertEqual(type(owner).objects.values().get(pk=owner.pk), before)
        person = {"email": "mass@example.com", "first_name": "M", "last_name": "A"}
        passwords = {"password": "a long pass phrase", "password_confirm": "a long pass phrase"}
        response = Client().post("/api/auth/register/", {**claims, **person, **passwords})
        self.assertEqual(response.status_code, 201, response.content)
        user = type(owner).objects.get(email="mass@example.com")
        self.assertEqual((user.is_staff, user.is_superuser, user.is_active), (False, False, True))
        self.assertFalse(settings.DEBUG)
