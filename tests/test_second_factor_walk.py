"""The whole admin, address by address and action by action, for staff who signed in by password alone, or long ago."""

import time
from importlib.util import find_spec
from typing import Any, Final
from unittest import skipUnless

import time_machine
from django.contrib.auth.models import Group, Permission
from django.test import Client, override_settings
from django.test.utils import tag
from django.urls import resolve

from apps.authentication.middleware import OPEN
from apps.authentication.tests.second_factor import VERIFICATION, code_of, give_app, sign_in
from apps.core.models import DataExport
from apps.users.models import User
from apps.users.tests.factories import make_staff, make_user
from tests.test_admin_actions import ActionRowsTestCase, Row
from tests.test_staff_roles import addresses

# Whether an action is done only within ten minutes of a proof. A new one has its place here by decision.
FRESH_PROOF: Final = {
    "auth.Group delete_selected": True,
    "authentication.Session end": False,
    "core.BulkOperation resume": False,  # what was started with a proof
    "core.BulkOperation stop": False,
    "payments.Refund acknowledge_failure": True,
    "payments.Refund approve": True,
    "payments.Refund export": True,
    "payments.Refund reject": True,
    "payments.Refund send_again": True,
    "payments.Transaction export": True,
    "payments.Transaction mail_receipt": False,
    "payments.Transaction print_vouchers": True,
    "payments.Transaction refund_unused": True,
    "post_office.Email send_again": False,
    "users.User confirm_address": False,
    "users.User deactivate": False,
    "users.User revoke_all_sessions": False,
    "users.User send_confirmation": False,
    "users.User send_password_reset": False,
    "vouchers.Batch export_codes": True,
    "vouchers.Batch hold_vouchers": False,
    "vouchers.Batch print_sheets": True,
    "vouchers.Batch reassign_vouchers": True,
    "vouchers.Batch release_vouchers": False,
    "vouchers.Batch void_vouchers": False,
    "vouchers.CodeExportRequest approve": True,
    "vouchers.CodeExportRequest reject": True,
    "vouchers.Voucher export": True,
    "vouchers.Voucher extend": False,
    "vouchers.Voucher refund": True,
    "vouchers.Voucher reissue": False,
    "vouchers.Voucher release": False,
    "vouchers.Voucher suspend": False,
    "vouchers.Voucher void": False,
    "vouchers.VoucherType delete_selected": False,
    "vouchers.VoucherType withdraw": True,
    "vouchers.VoucherUsage export": True,
    "vouchers.VoucherUsage reverse": False,
}
PROOF_PAGE: Final = "proof of the last ten minutes"


@tag("slow", "any-database")
@skipUnless(find_spec("reportlab"), "comes with requirements.txt")
@override_settings(STAFF_SECOND_FACTOR=True)
class ClosedAdminTests(ActionRowsTestCase):
    """A stolen password of a superuser, for whom nothing else is closed."""

    def setUp(self):
        super().setUp()
        self.root = make_staff(email="root@example.com")
        self.row_of = {row.model.lower(): row.chosen.pk for row in self.rows}

    def every_address(self):
        """Each address under /admin/ with a row of its model in it."""
        for pattern, _ in addresses():
            model = ".".join(pattern.split("/")[2:4])
            address = pattern.replace("<path:object_id>", str(self.row_of.get(model, 1))).replace("<id>", "1")
            for part, value in (("<int:content_type_id>", "1"), ("(?P<url>.*)$", "nothing/")):
                address = address.replace(part, value)
            if address.endswith("(?P<app_label>") or "(?P<app_label>" in address:
                address = "/admin/vouchers/"
            yield address

    def assertClosed(self, browser: Client) -> int:
        """Whatever of the admin the browser wants, it is led to the second factor; how many addresses that were."""
        number = 0
        for address in self.every_address():
            is_open = resolve(address).view_name in OPEN
            for send in (browser.get, browser.post):
                with self.subTest(address, method=send.__name__):
                    if is_open:
                        self.assertShowsNothing(
                            send(address) if "logout" not in address else browser.get(address)
                        )
                    else:
                        response = send(address)
                        self.assertEqual(response.status_code, 302)
                        self.assertEqual(response.headers["Location"].partition("?")[0], VERIFICATION)
                        number += 1
        return number

    def assertShowsNothing(self, response: Any) -> None:
        content = response.getvalue().decode()
        for part in (
            "/admin/vouchers/",
            "/admin/payments/",
            "/admin/users/",
            "/admin/revenue/",
            str(self.customer),
        ):
            self.assertNotIn(part, content)

    def test_without_a_factor_there_is_but_the_page_to_set_one_up(self):
        self.assertGreater(self.assertClosed(sign_in(self.root)), 200)

    def test_with_one_there_is_but_the_question_for_it(self):
        give_app(self.root)
        self.assertGreater(self.assertClosed(sign_in(self.root)), 200)

    def test_control_the_same_addresses_show_their_pages_once_it_was_passed(self):
        browser = sign_in(self.root, give_app(self.root))
        lists = [address for address in self.every_address() if address.count("/") == 4]
        shown = [address for address in lists if browser.get(address).status_code == 200]
        self.assertGreater(len(shown), 16)
        self.assertIn("/admin/users/user/", shown)

    def test_no_action_is_done_nor_anything_exported(self):
        give_app(self.root)
        self.client: Any = sign_in(self.root)
        for row in self.rows:
            for send in self.requests_of(row)[1]:
                with self.subTest(str(row)), self.undone():
                    self.assertEqual(send().status_code, 302)
                    self.assertFalse(row.done())
        self.assertFalse(DataExport.objects.exists())


@skipUnless(find_spec("reportlab"), "comes with requirements.txt")
@override_settings(STAFF_SECOND_FACTOR=True)
class FreshProofTests(ActionRowsTestCase):
    """Somebody left the admin open, and eleven minutes later somebody sits there."""

    def setUp(self):
        super().setUp()
        self.root = make_staff(email="root@example.com")
        self.app = give_app(self.root)
        self.client: Any = sign_in(self.root, self.app)
        self.enterContext(time_machine.travel(time.time() + 11 * 60))

    def forms_on(self, page: Any) -> dict[str, Any]:
        """What the page's form sends, with the right code."""
        sent: dict[str, Any] = {page.context["method_field"]: page.context["method"]}
        for name, value in page.context["carried"]:
            sent.setdefault(name, []).append(value)
        return {**sent, "second_factor_code": code_of(self.app)}

    def test_every_action_has_a_row(self):
        self.assertEqual(set(FRESH_PROOF), {str(row) for row in self.rows})

    def test_what_needs_a_proof_is_not_done_without_and_goes_on_with_it_as_it_was_sent(self):
        for row in self.rows:
            for way, send in enumerate(self.requests_of(row)[1]):
                with self.subTest(str(row), way=way), self.undone():
                    page = send()
                    if not FRESH_PROOF[str(row)]:
                        self.assertTrue(row.done())
                        continue
                    self.assertContains(page, PROOF_PAGE)
                    self.assertFalse(row.done())
                    response = self.client.post(page.wsgi_request.get_full_path(), self.forms_on(page))
                    response.getvalue()
                    self.assertTrue(row.done())
                    self.age()

    def age(self):
        """The proof grows old again."""
        session = self.client.session
        session["second_factor_proved_at"] -= 3600
        session.save()

    def test_the_page_that_asks_what_to_do_asks_for_the_proof_first(self):
        refund: Any = next(row.chosen for row in self.rows if row.model == "payments.Refund")
        address = f"/admin/payments/refund/{refund.pk}/approve/?_changelist_filters=x%3D1"
        page = self.client.get(address)
        self.assertContains(page, PROOF_PAGE)
        for body in ({}, {"second_factor_code": "000000"}):
            again = self.client.post(address, {**self.forms_on(page), "second_factor_code": "", **body})
            self.assertContains(again, PROOF_PAGE)
        response = self.client.post(address, self.forms_on(page))
        self.assertRedirects(response, address)  # to the form: nothing is done by the code alone
        self.assertContains(self.client.get(address), 'name="confirmed"')
        refund.refresh_from_db()
        self.assertEqual(refund.status, "requested")

    def test_sent_again_with_a_fresh_proof_that_page_does_nothing_either(self):
        refund: Any = next(row.chosen for row in self.rows if str(row) == "payments.Refund send_again")
        address = f"/admin/payments/refund/{refund.pk}/send-again/"
        sent = self.forms_on(self.client.get(address))
        for _ in range(2):
            self.assertRedirects(self.client.post(address, sent), address)
        refund.refresh_from_db()
        self.assertEqual(refund.status, "approved")

    def user_form(self, person: User, **changes: Any) -> Any:
        form = self.client.get(f"/admin/users/user/{person.pk}/change/").context["adminform"].form
        inlines = {"profile-TOTAL_FORMS": "0", "profile-INITIAL_FORMS": "0"}
        names = {"email": person.email, "first_name": person.first_name, "last_name": person.last_name}
        self.assertIn("is_staff", form.fields)
        return self.client.post(
            f"/admin/users/user/{person.pk}/change/", {**names, "is_active": "on", **inlines, **changes}
        )

    def test_rights_are_given_only_with_a_fresh_proof_and_names_without(self):
        person, group = make_user(), Group.objects.get(name="Desk")
        self.assertEqual(self.user_form(person, first_name="Uma").status_code, 302)
        self.assertEqual(User.objects.get(pk=person.pk).first_name, "Uma")
        two = [str(pk) for pk in Permission.objects.values_list("pk", flat=True)[:2]]
        wanted: list[dict[str, Any]] = [
            {"is_staff": "on"},
            {"is_superuser": "on"},
            {"groups": [group.pk]},
            {"user_permissions": two},
        ]
        for number, changes in enumerate(wanted):
            with self.subTest(changes):
                someone = make_user(email=f"someone{number}@example.com")
                before = User.objects.values().get(pk=someone.pk)
                page = self.user_form(someone, **changes)
                self.assertContains(page, PROOF_PAGE)
                self.assertEqual(User.objects.values().get(pk=someone.pk), before)
                response = self.client.post(page.wsgi_request.path, self.forms_on(page))
                self.assertEqual(response.status_code, 302)
                user = User.objects.get(pk=someone.pk)
                rights = (
                    user.is_staff,
                    user.is_superuser,
                    user.groups.count(),
                    user.user_permissions.count(),
                )
                self.assertEqual(rights[number], {2: 1, 3: 2}.get(number, True))
                self.age()

    def test_they_are_taken_away_only_with_one(self):
        page = self.user_form(self.desk)  # no "is_staff" among what is sent
        self.assertContains(page, PROOF_PAGE)
        self.assertTrue(User.objects.get(pk=self.desk.pk).is_staff)

    def test_what_signs_somebody_in_is_changed_only_with_one(self):
        person, password = make_user(), "another-long-pass-phrase"
        page = self.user_form(person, email="thief@example.com")
        self.assertContains(page, PROOF_PAGE)
        self.assertEqual(User.objects.get(pk=person.pk).email, person.email)
        self.assertEqual(self.client.post(page.wsgi_request.path, self.forms_on(page)).status_code, 302)
        self.assertEqual(User.objects.get(pk=person.pk).email, "thief@example.com")
        self.age()
        address = f"/admin/users/user/{self.desk.pk}/password/"
        sent = {"usable_password": "true", "password1": password, "password2": password}
        self.assertContains(self.client.get(address), PROOF_PAGE)
        page = self.client.post(address, sent)
        self.assertContains(page, PROOF_PAGE)
        self.assertFalse(User.objects.get(pk=self.desk.pk).check_password(password))
        self.client.post(address, self.forms_on(page))
        self.assertTrue(User.objects.get(pk=self.desk.pk).check_password(password))

    def test_groups_are_changed_only_with_one(self):
        group = Group.objects.get(name="Desk")
        for address in ("add/", f"{group.pk}/change/", f"{group.pk}/delete/"):
            page = self.client.post(f"/admin/auth/group/{address}", {"name": "Owners", "post": "yes"})
            with self.subTest(address):
                self.assertContains(page, PROOF_PAGE)
                self.assertEqual(list(Group.objects.values_list("name", flat=True)), ["Desk"])

    def test_figures_are_exported_only_with_one(self):
        for send in (self.client.get, self.client.post):
            self.assertContains(send("/admin/revenue/export/", {"file_type": "csv"}), PROOF_PAGE)
        self.assertFalse(DataExport.objects.exists())

    @override_settings(STAFF_SECOND_FACTOR=False)
    def test_where_no_second_factor_is_needed_nothing_asks(self):
        row: Row = next(row for row in self.rows if str(row) == "vouchers.Voucher export")
        for send in self.requests_of(row)[1]:
            send()
        self.assertTrue(row.done())

    @override_settings(RATE_LIMITS_ENABLED=True, LIMIT_SECOND_FACTOR=(2, 3600))
    def test_guesses_are_limited_here_too(self):
        sent = {"second_factor_code": "000000", "file_type": "csv"}
        for status in (200, 200, 429):
            self.assertEqual(self.client.post("/admin/revenue/export/", sent).status_code, status)
        self.assertFalse(DataExport.objects.exists())
