import json
import threading
import time
from decimal import Decimal
from functools import partial
from unittest import mock, skipUnless

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import Sum
from django.test import override_settings
from post_office.models import Email

from apps.authentication import cookies, password_reset_links, services
from apps.authentication.models import Session
from apps.payments.models import Transaction
from apps.payments.tests.factories import make_completed_transaction
from apps.users import services as users
from apps.users.errors import AccountClosed
from apps.users.models import User, UserProfile
from apps.users.tests.factories import PASSWORD, make_customer, make_other_customer, make_staff, make_user
from apps.users.tests.test_profile_picture import files, picture, remove_files, upload
from apps.vouchers import services as vouchers
from apps.vouchers.models import Voucher, VoucherUsage
from apps.vouchers.services import redeem_statement, redemption
from apps.vouchers.tests import races
from apps.vouchers.tests.factories import make_voucher
from apps.vouchers.tests.races import hold_row, wait_for_locks
from tests.support.cases import ApiTestCase, RaceTestCase

URL = "/api/users/profile/"


def books():
    """The sums and states that closing an account must not change."""
    return {
        "amount": Transaction.objects.aggregate(Sum("amount")),
        "refunded": Transaction.objects.aggregate(Sum("amount_refunded")),
        "transactions": [
            {**row, "buyer_name": "", "buyer_email": ""}
            for row in Transaction.objects.order_by("id").values()
        ],
        "vouchers": list(Voucher.objects.order_by("id").values()),
        "usages": list(VoucherUsage.objects.order_by("id").values("voucher", "user", "use_no", "used_at")),
    }


class ClosingAnAccount(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(remove_files)
        remove_files()
        self.customer = make_customer()
        self.other = make_other_customer()
        self.api = self.signed_in(self.customer)
        form = {
            "phone_number": "555 0100",
            "address": "1 Main Street",
            "date_of_birth": "1990-01-02",
            "profile_picture": upload(picture()),
        }
        self.assertEqual(self.api.patch(URL, form, format="multipart").status_code, 200)
        make_completed_transaction(user=self.customer, quantity=2)
        self.redeemed, self.unused = Voucher.objects.order_by("id")
        vouchers.redeem_voucher(code=self.redeemed.code, user=self.customer, details={"name": "Carla C."})
        password_reset_links.send(self.customer)
        password_reset_links.send(self.other)
        self.before = books()

    def close(self, body=None, client=None):
        with self.captureOnCommitCallbacks(execute=True):
            return (client or self.api).delete(URL, {"password": PASSWORD} if body is None else body)

    def assertRefused(self, response, status, code):
        document = self.assertProblem(response, status, code)
        customer = User.objects.get(pk=self.customer.pk)
        self.assertEqual((customer.email, customer.is_active), ("carla@example.com", True))
        self.assertTrue(customer.check_password(PASSWORD))
        self.assertEqual(customer.profile.phone_number, "555 0100")
        self.assertEqual(len(files()), 1)
        self.assertEqual(VoucherUsage.objects.get().details, {"name": "Carla C."})
        self.assertEqual(Email.objects.count(), 3)  # the receipt, and two links
        self.assertEqual(self.api.get(URL).status_code, 200)
        return document

    def test_nothing_that_says_who_it_was_remains(self):
        self.customer.groups.add(Group.objects.create(name="Desk"))
        staff = make_staff()
        self.client.force_login(staff)
        act = {"action": "revoke_all_sessions", "_selected_action": str(self.customer.pk)}
        self.client.post("/admin/users/user/", act, format="multipart")
        self.customer.refresh_from_db()
        self.api = self.signed_in(self.customer)
        self.assertEqual(LogEntry.objects.get().object_repr, "carla@example.com")

        response = self.close()
        self.assertEqual((response.status_code, response.content), (204, b""))
        closed = User.objects.get(pk=self.customer.pk)
        profile = UserProfile.objects.get(user=closed)
        self.assertEqual((closed.first_name, closed.last_name, closed.is_active), ("", "", False))
        self.assertRegex(closed.email, r"\Aclosed-[0-9a-f]{32}@closed\.invalid\Z")
        self.assertFalse(closed.has_usable_password())
        self.assertEqual(closed.groups.count(), 0)
        self.assertEqual((profile.phone_number, profile.address, profile.date_of_birth), ("", "", None))
        self.assertEqual((profile.profile_picture.name, files()), ("", []))
        self.assertEqual([email.to for email in Email.objects.all()], [["otto@example.com"]])
        self.assertEqual(VoucherUsage.objects.get().details, {})
        everything = json.dumps(
            [list(model.objects.values()) for model in (User, UserProfile, Session, Email, LogEntry)]
            + [list(VoucherUsage.objects.values())],
            default=str,
        )
        for trace in ("carla", "Carla", "555 0100", "Main Street", "1990-01-02"):
            self.assertNotIn(trace, everything)

    def test_the_books_stay_and_still_add_up(self):
        self.assertEqual(self.before["amount"], {"amount__sum": Decimal("20.00")})
        self.assertEqual(self.close().status_code, 204)
        self.assertEqual(books(), self.before)
        staff = self.signed_in(make_staff())
        revenue = staff.get("/api/analytics/revenue/")
        self.assertEqual(revenue.status_code, 200, revenue.content)

    def test_every_session_ends_and_nobody_signs_in_any_more(self):
        elsewhere = services.open_session(user=self.customer)
        link = password_reset_links.link_for(self.customer)
        self.assertEqual(self.close().status_code, 204)
        self.assertEqual(Session.objects.filter(user=self.customer, ended_at=None).count(), 0)
        self.assertProblem(self.api.get(URL), 401, "token_invalid")
        refreshed = self.api.post(
            "/api/auth/token/refresh/", {"refresh": elsewhere.refresh}, HTTP_AUTHORIZATION=""
        )
        self.assertProblem(refreshed, 401, "token_invalid")
        login = {"email": "carla@example.com", "password": PASSWORD}
        self.assertProblem(self.client.post("/api/auth/login/", login), 401, "invalid_credentials")
        uid, token = link.partition("#uid=")[2].split("&token=")
        body = {
            "uid": uid,
            "token": token,
            "password": "a new password!",
            "password_confirm": "a new password!",
        }
        response = self.client.post("/api/auth/password-reset-confirm/", body)
        self.assertProblem(response, 400, "reset_link_invalid")

    def test_the_address_is_free_for_a_new_account_which_inherits_nothing(self):
        self.assertEqual(self.close().status_code, 204)
        person = {"email": "carla@example.com", "first_name": "Carla", "last_name": "Again"}
        passwords = {"password": PASSWORD, "password_confirm": PASSWORD}
        response = self.client.post("/api/auth/register/", {**person, **passwords})
        self.assertEqual(response.status_code, 201, response.content)
        header = f"Bearer {response.json()['access']}"
        mine = self.client.get("/api/vouchers/my-vouchers/", HTTP_AUTHORIZATION=header)
        self.assertEqual(mine.json()["count"], 0)

    def test_codes_still_work_for_whoever_holds_them(self):
        self.assertEqual(self.close().status_code, 204)
        response = self.signed_in(self.other).post("/api/vouchers/redeem/", {"code": self.unused.code})
        self.assertEqual(response.status_code, 200, response.content)

    def test_others_keep_everything(self):
        self.assertEqual(self.close().status_code, 204)
        other = User.objects.get(pk=self.other.pk)
        self.assertEqual((other.email, other.is_active), ("otto@example.com", True))
        self.assertTrue(other.check_password(PASSWORD))

    def test_it_needs_the_right_password(self):
        for password in ("not this one at all", PASSWORD + " ", PASSWORD.upper()):
            document = self.assertRefused(self.close({"password": password}), 400, "validation_error")
            self.assertEqual(document["errors"]["password"][0]["code"], "password_incorrect")
        for body in ({}, {"password": ""}, {"password": None}, {"password": ["x"]}, {"password": "x" * 129}):
            document = self.assertRefused(self.close(body), 400, "validation_error")
            self.assertEqual(document["errors"].keys(), {"password"})

    def test_nobody_but_the_signed_in_may(self):
        self.assertRefused(self.close(client=self.client_class()), 401, "not_authenticated")
        self.assertEqual(self.close(client=self.signed_in(self.other)).status_code, 204)
        self.assertTrue(User.objects.get(pk=self.customer.pk).is_active)

    def test_a_superuser_can_not_close_their_own(self):
        staff = make_staff()
        response = self.close(client=self.signed_in(staff))
        self.assertProblem(response, 409, "superuser_account")
        staff.refresh_from_db()
        self.assertEqual((staff.email, staff.is_active), ("stella@example.com", True))

    def test_by_cookie_it_needs_the_csrf_token_and_clears_the_cookies(self):
        browser = self.client_class(enforce_csrf_checks=True)
        login = {"email": "carla@example.com", "password": PASSWORD, "use_cookies": True}
        self.assertEqual(browser.post("/api/auth/login/", login).status_code, 200)
        self.assertRefused(self.close(client=browser), 403, "csrf_failed")
        browser.credentials(HTTP_X_CSRFTOKEN=browser.cookies[settings.CSRF_COOKIE_NAME].value)
        response = self.close(client=browser)
        self.assertEqual(response.status_code, 204)
        self.assertEqual(
            {response.cookies[cookie.name].value for cookie in (cookies.ACCESS, cookies.REFRESH)}, {""}
        )

    def test_it_is_at_one_address_only(self):
        for url in ("/api/auth/profile/", "/api/users/profile/update/"):
            self.assertRefused(self.api.delete(url, {"password": PASSWORD}), 405, "method_not_allowed")

    def test_a_failure_half_way_changes_nothing(self):
        with (
            mock.patch.object(vouchers, "erase_details", side_effect=RuntimeError),
            self.assertLogs("django.request", "ERROR"),
        ):
            self.assertProblem(self.close(), 500, "server_error")
        self.assertRefused(self.close({"password": "wrong one entirely"}), 400, "validation_error")


@override_settings(RATE_LIMITS_ENABLED=False)
class ClosingWhileChanging(RaceTestCase):
    def race_of_a_slow_redemption(self):
        """A redemption under way while its account is closed: both answers, and what is kept of what was written."""
        owner, desk = make_user(), make_user()
        body = {"code": make_voucher(owner=owner).code, "details": {"name": "Jane Doe"}}
        use_taken, redeem = threading.Event(), self.signed_in(desk).post
        take_use = redemption._take_use

        def slow_take_use(**request):
            usage = take_use(**request)
            use_taken.set()
            time.sleep(0.7)
            return usage

        def close():
            use_taken.wait(20)
            return closing.delete(URL, {"password": PASSWORD})

        closing = self.signed_in(desk)
        with (
            mock.patch.object(redemption, "ONE_STATEMENT", ()),
            mock.patch.object(redemption, "_take_use", slow_take_use),
        ):
            answers = self.together(lambda: redeem("/api/vouchers/redeem/", body), close)
        details = VoucherUsage.objects.filter(user=desk).values_list("details", flat=True)
        return [answer.status_code for answer in answers], list(details)

    def test_what_is_being_written_while_the_account_is_closed_is_erased_with_it(self):
        self.assertEqual(self.race_of_a_slow_redemption(), ([200, 204], [{}]))

    @skipUnless(connection.vendor == "postgresql", "SQLite runs whole transactions one after the other")
    def test_the_same_race_catches_one_that_does_not_keep_the_account_open(self):
        with mock.patch.object(users, "lock_open_account"):
            self.assertEqual(self.race_of_a_slow_redemption(), ([200, 204], [{"name": "Jane Doe"}]))

    def race_of_a_statement_that_waits(self):
        """The same where one statement redeems: it waits for the voucher's row while the account is being closed."""
        owner, desk = make_user(), make_user()
        voucher = make_voucher(owner=owner)
        body = {"code": voucher.code, "details": {"name": "Jane Doe"}}
        redeem, closing = self.signed_in(desk).post, self.signed_in(desk)
        with hold_row(voucher) as let_go:

            def close():
                wait_for_locks(1)
                return closing.delete(URL, {"password": PASSWORD})

            def release():
                wait_for_locks(2)  # in vain where the closing need not wait
                let_go()

            answers = self.together(lambda: redeem("/api/vouchers/redeem/", body), close, release)
        details = VoucherUsage.objects.filter(user=desk).values_list("details", flat=True)
        return [answer.status_code for answer in answers[:2]], list(details)

    @skipUnless(connection.vendor == "postgresql", "one statement redeems on PostgreSQL alone")
    def test_what_one_statement_writes_while_the_account_is_closed_is_erased_with_it(self):
        self.assertEqual(self.race_of_a_statement_that_waits(), ([200, 204], [{}]))

    @skipUnless(connection.vendor == "postgresql", "one statement redeems on PostgreSQL alone")
    def test_the_same_race_catches_a_statement_that_does_not_keep_the_account_open(self):
        with (
            mock.patch.object(races, "PATIENCE", 2),
            mock.patch.object(redeem_statement, "_BY_OPEN_ACCOUNT", redeem_statement._BY_ANYBODY),
        ):
            self.assertEqual(self.race_of_a_statement_that_waits(), ([200, 204], [{"name": "Jane Doe"}]))

    def test_what_would_be_written_after_it_was_closed_is_refused(self):
        desk, voucher = make_user(), make_voucher(owner=make_user())
        User.objects.filter(pk=desk.pk).update(is_active=False)
        with self.assertRaises(AccountClosed):
            vouchers.redeem_voucher(code=voucher.code, user=desk, details={"name": "Jane Doe"})
        voucher.refresh_from_db()
        self.assertEqual((voucher.uses_remaining, voucher.usages.count()), (1, 0))

    def test_nothing_comes_back_into_a_closed_account(self):
        for number in range(self.rounds):
            customer = make_customer(email=f"carla{number}@example.com")
            close = partial(self.signed_in(customer).delete, URL, {"password": PASSWORD})
            changes = {"first_name": "Carla", "address": "1 Main Street"}
            calls = [close, *[partial(self.signed_in(customer).patch, URL, changes) for _ in range(5)]]
            responses = self.together(*calls)
            self.assertEqual(responses[0].status_code, 204)
            for response in responses[1:]:
                self.assertIn(response.status_code, (200, 401, 409), response.content)
            closed = User.objects.select_related("profile").get(pk=customer.pk)
            self.assertEqual((closed.first_name, closed.profile.address), ("", ""))

    def test_control_the_oracle_catches_a_save_that_does_not_look(self):
        customer = make_customer()
        read, closed = threading.Event(), threading.Event()

        def save():
            User.objects.get(pk=customer.pk, is_active=True)
            read.set()
            closed.wait(self.patience)
            UserProfile.objects.filter(user=customer).update(address="1 Main Street")

        def close():
            read.wait(self.patience)
            users.close_account(user=User.objects.get(pk=customer.pk), password=PASSWORD)
            closed.set()

        self.together(save, close)
        self.assertEqual(UserProfile.objects.get(user=customer).address, "1 Main Street")
