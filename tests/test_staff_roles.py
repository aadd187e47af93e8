"""Which role sees and does what: every screen, form, field and action of the admin, and the powers of staff in the API.

The tables name who may; everybody else gets nothing by any address, form field or chosen action. Each table has a row
for all that there is, so that what is new has its place by decision. That an action works for who has its permission,
and for nobody else, is shown by test_admin_actions.py.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, Final
from unittest import skipUnless

from django.contrib import admin
from django.contrib.auth.models import Group
from django.contrib.messages.storage.fallback import FallbackStorage
from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django.http import Http404
from django.test import RequestFactory, tag
from django.urls import get_resolver, resolve, reverse

from apps.core.models import DataExport, JobResult
from apps.payments.models import Dispute, DisputeOutcome, StripeEvent
from apps.users import staff_groups
from apps.users.tests.factories import make_staff, make_user
from apps.vouchers.models import VoucherEvent
from tests.test_admin_actions import ActionRowsTestCase, actions_in_the_admin

# "no role" is staff without a group. A superuser may all that anybody may.
PEOPLE: Final = ("no role", "Desk", "Finance", "Catalogue", "Manager", "superuser")


def who(names: str) -> frozenset[str]:
    return frozenset(names.split()) | {"superuser"}


D, F, C, M = "Desk ", "Finance ", "Catalogue ", "Manager "
ONLY_SUPERUSERS, NOBODY = who(""), frozenset[str]()

# Who sees the list of a model, the page of a row and its history.
SCREENS: Final = {
    "auth.Group": who(M),
    "authentication.Session": who(M),
    "core.BulkOperation": who(C + M),
    "core.DataExport": who(F + M),
    "core.JobResult": who(F + M),
    "payments.Dispute": who(F + M),
    "payments.Refund": who(D + F + M),
    "payments.StripeEvent": who(F + M),
    "payments.Transaction": who(D + F + M),
    "post_office.Email": who(D + M),
    "users.User": who(D + F + C + M),
    "vouchers.Batch": who(C + M),
    "vouchers.CodeExportRequest": who(C + M),
    "vouchers.Voucher": who(D + F + M),
    "vouchers.VoucherEvent": who(D + F + M),
    "vouchers.VoucherType": who(D + F + C + M),
    "vouchers.VoucherUsage": who(D + F + M),
}
# Who has the form to add a row, to change and to delete one. Models without a row here have no such form for anybody.
FORMS: Final = {
    "auth.Group add": ONLY_SUPERUSERS,
    "auth.Group change": ONLY_SUPERUSERS,
    "auth.Group delete": ONLY_SUPERUSERS,
    "users.User add": who(M),
    "users.User change": who(M),
    "vouchers.Batch add": who(C + M),
    "vouchers.VoucherType add": who(C + M),
    "vouchers.VoucherType change": who(C + M),
    "vouchers.VoucherType delete": who(C + M),
}
PERSON: Final = {"email", "first_name", "last_name", "language", "is_active"}
TYPE: Final = set("name description service_type is_active price currency validity_days max_uses".split())
# The fields of these forms, for whoever has the form; of some, more or other ones.
FIELDS: Final[dict[str, dict[str, set[str]]]] = {
    "auth.Group add": {"": {"name", "permissions"}},
    "auth.Group change": {"": {"name", "permissions"}},
    "users.User add": {
        "": {"email", "first_name", "last_name", "language", "usable_password", "password1", "password2"}
    },
    "users.User change": {
        "": PERSON | {"is_staff", "groups"},
        "superuser": PERSON | {"is_staff", "groups", "is_superuser", "user_permissions"},
    },
    "vouchers.Batch add": {"": {"voucher_type", "owner", "quantity", "face_value", "label"}},
    "vouchers.VoucherType add": {"": TYPE},
    "vouchers.VoucherType change": {"": TYPE},
}
# Who does what to rows: on a list, or on the page of a row.
ACTIONS: Final = {
    "auth.Group delete_selected": ONLY_SUPERUSERS,
    "authentication.Session end": who(M),
    "core.BulkOperation resume": who(C + M),
    "core.BulkOperation stop": who(C + M),
    "payments.Refund acknowledge_failure": who(F + M),
    "payments.Refund approve": who(F + M),
    "payments.Refund export": who(F + M),
    "payments.Refund reject": who(F + M),
    "payments.Refund send_again": who(F + M),
    "payments.Transaction export": who(F + M),
    "payments.Transaction mail_receipt": who(D + F + M),
    "payments.Transaction print_vouchers": who(M),
    "payments.Transaction refund_unused": who(F + M),
    "post_office.Email send_again": who(D + M),
    "users.User confirm_address": who(M),
    "users.User deactivate": who(M),
    "users.User revoke_all_sessions": who(M),
    "users.User send_confirmation": who(M),
    "users.User send_password_reset": who(M),
    "vouchers.Batch export_codes": who(C + M),
    "vouchers.Batch hold_vouchers": who(C + M),
    "vouchers.Batch print_sheets": who(C + M),
    "vouchers.Batch reassign_vouchers": who(M),
    "vouchers.Batch release_vouchers": who(C + M),
    "vouchers.Batch void_vouchers": who(M),
    "vouchers.CodeExportRequest approve": who(M),
    "vouchers.CodeExportRequest reject": who(M),
    "vouchers.Voucher export": who(F + M),
    "vouchers.Voucher extend": who(D + M),
    "vouchers.Voucher refund": who(F + M),
    "vouchers.Voucher reissue": who(M),
    "vouchers.Voucher release": who(D + M),
    "vouchers.Voucher suspend": who(D + M),
    "vouchers.Voucher void": who(M),
    "vouchers.VoucherType delete_selected": who(C + M),
    "vouchers.VoucherType withdraw": who(M),
    "vouchers.VoucherUsage export": who(F + M),
    "vouchers.VoucherUsage reverse": who(D + M),
}
# Pages of no single model.
PAGES: Final = {
    "admin:payments_approvals": who(F + M),
    "admin-revenue": who(F + M),
    "admin-revenue-export": who(F + M),
}
# Who sees more in the API than one's own; the addresses of staff's powers are those of tests/test_access.py.
POWERS: Final = {
    "figures of the platform": who(F + M),
    "vouchers of others": who(D + F + M),
}
# Pages of the site, for all staff: none has rows of its own.
SITE: Final = set(
    "index search login logout password_change password_change_done jsi18n admin-login admin-password-change"
    " admin-search second-factor second-factor-enrolment second-factor-factors second-factor-recovery-codes"
    " second-factor-passkey-adding second-factor-passkey-added second-factor-passkey-proving"
    " second-factor-passkey-proved".split()
)


def addresses(patterns: Any = None, prefix: str = "/") -> Iterator[tuple[str, str]]:
    """Every address under /admin/, with its name."""
    if patterns is None:
        patterns = [each for each in get_resolver().url_patterns if str(each.pattern).startswith("admin/")]
    for pattern in patterns:
        here = prefix + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from addresses(pattern.url_patterns, here)
        else:
            yield here, pattern.name or ""


@tag("slow", "any-database")
@skipUnless(find_spec("reportlab"), "comes with requirements.txt")
class StaffRolesTests(ActionRowsTestCase):
    def setUp(self):
        super().setUp()
        staff_groups.create_staff_groups()
        self.people = {name: self.member(name) for name in PEOPLE}
        paid: Any = next(row.chosen for row in self.rows if row.model == "payments.Transaction")
        dispute = Dispute.objects.create(
            stripe_dispute_id="dp_1",
            transaction=paid,
            amount=1,
            stripe_status="won",
            outcome=DisputeOutcome.WON,
            opened_at=paid.created_at,
            closed_at=paid.created_at,
        )
        event = StripeEvent.objects.create(stripe_id="evt_1", type="x", object_id="pi_1")
        job = JobResult.objects.create(
            name="audit", finished_at=paid.created_at, next_due_at=paid.created_at, problems=0, complete=True
        )
        # A row of each model.
        self.row_of: dict[str, models.Model] = {
            **{row.model: row.chosen for row in self.rows},
            "core.DataExport": DataExport.objects.create(table="x", file_type="csv"),
            "core.JobResult": job,
            "payments.Dispute": dispute,
            "payments.StripeEvent": event,
            "vouchers.VoucherEvent": VoucherEvent.objects.latest("pk"),
        }

    def member(self, name):
        if name == "superuser":
            return make_staff(email="root@example.com")
        user = make_user(password=None, is_staff=True, email=f"{name.replace(' ', '.').lower()}@example.com")
        user.groups.set(Group.objects.filter(name=name))
        return user

    def visit(self, name: str, address: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """What the view at an address does for a person: the status, and the answer, which is not rendered.

        A GET, or a POST with a body. It goes through the addresses and the checks of the site like any request; to
        render each of hundreds of pages would take a minute.
        """
        factory = RequestFactory()
        request: Any = factory.get(address) if body is None else factory.post(address, body)
        request.user, request.session = self.people[name], {}
        request._messages = FallbackStorage(request)
        request._dont_enforce_csrf_checks = True
        match = resolve(address)
        try:
            with transaction.atomic():
                response = match.func(request, *match.args, **match.kwargs)
        except PermissionDenied:
            return 403, None
        except Http404:
            return 404, None
        return response.status_code, response

    def page(self, model: str, view: str) -> str:
        """The address of a view of a model, for its row here."""
        path = f"/admin/{model.lower().replace('.', '/')}/"
        match view:
            case "changelist":
                return path
            case "add":
                return f"{path}add/"
        return f"{path}{self.row_of[model].pk}/{view}/"

    def test_every_screen_form_action_and_address_has_a_row(self):
        screens = {model._meta.label for model in admin.site._registry}
        self.assertEqual(set(SCREENS), screens)
        self.assertEqual(set(self.row_of), screens)
        self.assertEqual(set(ACTIONS), {f"{model} {action}" for model, action in actions_in_the_admin()})
        known = {self.pattern_of(model, view) for model in screens for view in ("changelist", "add")}
        views = ("change", "history", "delete", "")
        known |= {self.pattern_of(model, f"<path:object_id>/{view}") for model in screens for view in views}
        for entry in ACTIONS:
            model, action = entry.split()
            for place in ("", "<path:object_id>/"):  # a button of the list, or of the page of a row
                known.add(self.pattern_of(model, f"{place}{action.replace('_', '-')}"))
        others = {name or address for address, name in addresses() if address not in known}
        of_rows = set("autocomplete view_on_site app_list auth_user_password_change users_user_parts".split())
        of_rows.add("/admin/(?P<url>.*)$")
        self.assertEqual(others, SITE | of_rows | {page.rpartition(":")[2] for page in PAGES})

    def pattern_of(self, model: str, rest: str) -> str:
        path = f"/admin/{model.lower().replace('.', '/')}/"
        return path if rest == "changelist" else f"{path}{rest.rstrip('/')}/"

    def test_each_sees_the_screens_of_their_role_and_no_others(self):
        for name, user in self.people.items():
            self.client.force_login(user)
            front_page = self.client.get("/admin/").content.decode()
            for model, allowed in SCREENS.items():
                expected = 200 if name in allowed else 403
                for view in ("changelist", "change", "history"):
                    with self.subTest(name, model=model, view=view):
                        self.assertEqual(self.visit(name, self.page(model, view))[0], expected)
                with self.subTest(name, link=model):
                    self.assertEqual(
                        f'href="{self.page(model, "changelist")}"' in front_page, expected == 200
                    )

    def test_each_sees_the_other_pages_of_their_role(self):
        for name in PEOPLE:
            for page, allowed in PAGES.items():
                with self.subTest(name, page=page):
                    self.assertEqual(self.visit(name, reverse(page))[0], 200 if name in allowed else 403)

    def test_each_has_the_forms_of_their_role_with_these_fields_and_no_others(self):
        for name in PEOPLE:
            for model in SCREENS:
                for form in ("add", "change", "delete"):
                    entry = f"{model} {form}"
                    allowed = name in FORMS.get(entry, NOBODY)
                    with self.subTest(name, form=entry):
                        status, response = self.visit(name, self.page(model, form))
                        if form != "change" or name not in SCREENS[model]:
                            self.assertEqual(status, 200 if allowed else 403)
                        if form == "delete" or status == 403:
                            continue
                        fields = FIELDS[entry].get(name, FIELDS[entry][""]) if allowed else set()
                        shown = set(response.context_data["adminform"].form.fields)
                        self.assertEqual(
                            shown - {"password"}, fields
                        )  # it tells that there is one, and takes none

    def test_no_form_takes_what_is_not_of_the_role_whatever_is_sent(self):
        body = {
            **{name: "1" for model in admin.site._registry for name in self.columns(model)},
            "_save": "Save",
            "post": "yes",
            "confirmed": "yes",
        }
        for name in PEOPLE:
            for model, row in self.row_of.items():
                for form in ("add", "change", "delete"):
                    if name in FORMS.get(f"{model} {form}", NOBODY):
                        continue
                    with self.subTest(name, form=f"{model} {form}"):
                        before = self.contents(type(row))
                        self.assertEqual(self.visit(name, self.page(model, form), body)[0], 403)
                        self.assertEqual(self.contents(type(row)), before)

    @staticmethod
    def columns(model):
        return [field.name for field in model._meta.get_fields() if field.concrete]

    @staticmethod
    def contents(model):
        return list(model._default_manager.order_by("pk").values())

    def test_each_is_offered_the_actions_of_their_role_and_no_others(self):
        for name, user in self.people.items():
            request = RequestFactory().get("/admin/")
            request.user = user
            for row in self.rows:
                screen: Any = admin.site._registry[type(row.chosen)]
                buttons = (
                    *screen.get_actions_list(request),
                    *screen.get_actions_detail(request, row.chosen.pk),
                )
                offered = {
                    *screen.get_actions(request),
                    *(
                        action.method.__name__ if hasattr(action.method, "__name__") else action.method.name
                        for action in buttons
                    ),
                }
                with self.subTest(name, action=str(row)):
                    self.assertEqual(row.action in offered, name in ACTIONS[str(row)])

    def test_no_action_of_another_role_is_done_on_a_list_or_a_page(self):
        for name, user in self.people.items():
            self.client.force_login(user)
            for row in self.rows:
                if name in ACTIONS[str(row)]:
                    continue
                _, requests = self.requests_of(row)
                for send in requests:
                    with self.subTest(name, action=str(row)), self.undone():
                        self.assertIn(send().status_code, (200, 302, 403))
                        self.assertFalse(row.done())

    def test_each_has_the_powers_of_their_role_in_the_api(self):
        code = self.voucher.shown_code
        for name, user in self.people.items():
            api = self.signed_in(user)
            figures = name in POWERS["figures of the platform"]
            others = name in POWERS["vouchers of others"]
            with self.subTest(name):
                scope = api.get("/api/analytics/dashboard/").json()["scope"]
                self.assertEqual(scope, "platform" if figures else "personal")
                self.assertEqual(api.get("/api/analytics/revenue/").status_code, 200 if figures else 403)
                for view in ("", "pdf/", "qr/"):
                    status = api.get(f"/api/vouchers/detail/{code}/{view}").status_code
                    self.assertEqual(status, 200 if others else 404)

    def test_the_search_answers_with_what_the_role_may_look_up(self):
        for name, user in self.people.items():
            self.client.force_login(user)
            page = self.client.post("/admin/search/", {"q": self.customer.email}, follow=True)
            with self.subTest(name):
                self.assertEqual(
                    f"/admin/users/user/{self.customer.pk}/change/"
                    in page.content.decode() + str(page.redirect_chain),
                    name in SCREENS["users.User"],
                )

    def test_figures_and_names_are_not_seen_on_the_pages_for_all_staff(self):
        for name, user in self.people.items():
            self.client.force_login(user)
            page = self.client.get("/admin/")
            with self.subTest(name):
                self.assertEqual("figures" in page.context, name in POWERS["figures of the platform"])
                lookup = {
                    "app_label": "vouchers",
                    "model_name": "batch",
                    "field_name": "owner",
                    "term": "super",
                }
                status = self.client.get("/admin/autocomplete/", lookup).status_code
                self.assertEqual(status, 200 if name in SCREENS["users.User"] else 403)
                for view, allowed in (
                    ("parts", SCREENS["users.User"]),
                    ("password", FORMS["users.User change"]),
                ):
                    status = self.client.get(f"/admin/users/user/{self.customer.pk}/{view}/").status_code
                    self.assertEqual(status, 200 if name in allowed else 403)
                # One that is there, and leads nowhere: no model has a page of its own outside the admin.
                self.assertEqual(self.client.get(f"/admin/r/1/{self.customer.pk}/").status_code, 404)
                for app in {model.partition(".")[0] for model in SCREENS}:
                    seen = any(name in SCREENS[each] for each in SCREENS if each.startswith(f"{app}."))
                    self.assertEqual(self.client.get(f"/admin/{app}/").status_code, 200 if seen else 404)
