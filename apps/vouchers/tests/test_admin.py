"""What staff see of vouchers, and what they can't do to them."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

from django.contrib.auth.models import Permission
from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import strip_tags

from apps.users.tests.factories import PASSWORD, make_customer, make_other_customer, make_staff, make_user
from apps.vouchers import services
from apps.vouchers.models import Voucher, VoucherType, VoucherUsage
from apps.vouchers.services import withdrawal
from tests.support import keyboards

from .factories import (
    make_expired_voucher,
    make_inactive_voucher,
    make_type,
    make_usage,
    make_used_voucher,
    make_voucher,
    unknown_code,
)

TYPES = "/admin/vouchers/vouchertype/"
VOUCHERS = "/admin/vouchers/voucher/"
USAGES = "/admin/vouchers/voucherusage/"


class AdminTestCase(TestCase):
    """Signed in as a superuser; `desk` is staff with every permission and no more."""

    def setUp(self) -> None:
        super().setUp()
        self.customer = make_customer()
        self.staff = make_staff()
        self.desk = make_user(is_staff=True)
        self.desk.user_permissions.set(Permission.objects.all())
        self.client.force_login(self.staff)

    def page(self, address: str, **query: Any) -> Any:
        response = self.client.get(address, query)
        self.assertEqual(response.status_code, 200, address)
        return response

    def rows(self, address: str, **query: Any) -> list[Any]:
        return list(self.page(address, **query).context["cl"].result_list)

    def assertTellsNoCode(self, response: Any) -> None:
        page = response.content.decode().upper()
        for voucher in Voucher.objects.all():
            self.assertNotIn(voucher.code, page)
            self.assertNotIn(voucher.shown_code, page)

    def status_in_the_list(self) -> str:
        """What the first row of the list of vouchers says."""
        cell = self.page(VOUCHERS).content.decode().partition("field-status")[2].partition("</td>")[0]
        return strip_tags(f"<td {cell}").strip()

    def queries_of(self, address: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            self.page(address)
        return len(captured)


class AdminSignInTests(TestCase):
    def test_staff_sign_in_by_e_mail_in_any_case(self) -> None:
        staff = make_staff()
        credentials = {"username": staff.email.upper(), "password": PASSWORD, "next": "/admin/"}
        self.assertRedirects(self.client.post("/admin/login/?next=/admin/", credentials), "/admin/")

    def test_a_customer_stays_outside(self) -> None:
        customer = make_customer()
        credentials = {"username": customer.email, "password": PASSWORD}
        self.assertEqual(self.client.post("/admin/login/", credentials).status_code, 200)
        self.client.force_login(customer)
        for address in ("/admin/", TYPES, VOUCHERS, USAGES):
            self.assertRedirects(
                self.client.get(address), f"/admin/login/?next={address}", fetch_redirect_response=False
            )

    def test_staff_without_permissions_see_no_rows(self) -> None:
        self.client.force_login(make_user(is_staff=True))
        voucher = make_voucher(owner=make_customer())
        for address in (TYPES, VOUCHERS, USAGES, f"{VOUCHERS}{voucher.pk}/change/"):
            self.assertEqual(self.client.get(address).status_code, 403, address)


class VoucherAdminTests(AdminTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=3))
        self.usage = make_usage(code=self.voucher.code, user=self.customer)
        self.voucher.refresh_from_db()

    def test_every_page_answers_and_none_tells_a_code(self) -> None:
        make_used_voucher(owner=self.customer)
        make_expired_voucher(owner=self.customer)
        make_inactive_voucher(owner=self.customer)
        for person in (self.staff, self.desk):
            self.client.force_login(person)
            for address in (
                "/admin/",
                "/admin/vouchers/",
                TYPES,
                f"{TYPES}{self.voucher.voucher_type_id}/change/",
                VOUCHERS,
                *(f"{VOUCHERS}{voucher.pk}/change/" for voucher in Voucher.objects.all()),
                f"{VOUCHERS}{self.voucher.pk}/history/",
                USAGES,
                f"{USAGES}{self.usage.pk}/change/",
            ):
                self.assertTellsNoCode(self.page(address))

    def test_the_list_shows_the_last_four_symbols_and_what_the_voucher_is_worth(self) -> None:
        for text in (
            f"····-{self.voucher.code[-4:]}",
            self.voucher.voucher_type.name,
            self.customer.email,
            "1 of 3",
        ):
            self.assertContains(self.page(VOUCHERS), text)
        self.assertEqual(self.status_in_the_list(), "Active")

    def test_a_voucher_is_found_by_its_code_in_any_form(self) -> None:
        others = [make_voucher(owner=make_other_customer()) for _ in range(1)]
        shown = self.voucher.shown_code
        scanned = [
            keyboards.typed(keyboards.link(self.voucher.code), layout)
            for layout in ("British", "German", "French")
        ]
        for typed in (
            shown,
            self.voucher.code,
            shown.lower(),
            shown.replace("-", " "),
            f" {shown} ",
            f"\u200b*{shown}*.",
            *scanned,
        ):
            response = self.page(VOUCHERS, q=typed)
            self.assertEqual(list(response.context["cl"].result_list), [self.voucher], typed)
            self.assertTellsNoCode(response)
        self.assertNotIn(others[0], self.rows(VOUCHERS, q=shown))

    def test_a_code_finds_its_voucher_only_and_not_others_with_the_same_last_symbols(self) -> None:
        twin = make_voucher(
            owner=self.customer, code=f"22222222222{unknown_code()[-1]}{self.voucher.code[-4:]}"
        )
        self.assertEqual(self.rows(VOUCHERS, q=self.voucher.shown_code), [self.voucher])
        self.assertCountEqual(self.rows(VOUCHERS, q=self.voucher.code[-4:]), [self.voucher, twin])

    def test_a_voucher_is_found_by_its_last_four_symbols_and_by_its_owner(self) -> None:
        other = make_voucher(owner=make_other_customer())
        last_four = self.voucher.code[-4:]
        for typed in (
            last_four,
            last_four.lower(),
            f"-{last_four}",
            f"····-{last_four}",
            "CARLA@example.com",
        ):
            self.assertEqual(self.rows(VOUCHERS, q=typed), [self.voucher], typed)
        self.assertEqual(self.rows(VOUCHERS, q="otto"), [other])
        self.assertEqual(self.rows(VOUCHERS, q=unknown_code()), [])
        self.assertEqual(self.rows(VOUCHERS, q="%"), [])

    def test_uses_are_found_by_the_code_and_by_both_people(self) -> None:
        other = make_other_customer()
        usage = make_usage(code=make_voucher(owner=other).code, user=self.staff)
        response = self.page(USAGES, q=self.voucher.shown_code)
        self.assertEqual(list(response.context["cl"].result_list), [self.usage])
        self.assertTellsNoCode(response)
        self.assertEqual(self.rows(USAGES, q=self.voucher.code[-4:]), [self.usage])
        for typed in (other.email, self.staff.email):
            self.assertEqual(self.rows(USAGES, q=typed), [usage])

    def test_vouchers_are_filtered_by_status_and_by_type(self) -> None:
        by_status = {
            "active": self.voucher,
            "used": make_used_voucher(owner=self.customer),
            "expired": make_expired_voucher(owner=self.customer),
            "inactive": make_inactive_voucher(owner=self.customer),
        }
        for status, voucher in by_status.items():
            self.assertEqual(self.rows(VOUCHERS, status=status), [voucher])
            type_id = voucher.voucher_type_id
            self.assertEqual(self.rows(VOUCHERS, voucher_type__id__exact=type_id), [voucher])
        self.assertEqual(len(self.rows(VOUCHERS, status="nonsense")), 4)

    def test_nobody_adds_changes_or_deletes_vouchers_and_uses(self) -> None:
        before = self.books()
        change = {
            "code": unknown_code(),
            "uses_remaining": 3,
            "total_uses": 3,
            "is_active": "",
            "inactive_reason": "by_staff",
            "face_value": "1.00",
            "expiry_date_0": "2099-01-01",
            "expiry_date_1": "00:00:00",
            "user": self.staff.pk,
            "used_at_0": "2020-01-01",
            "used_at_1": "00:00:00",
            "use_no": 7,
            "usages-TOTAL_FORMS": "1",
            "usages-INITIAL_FORMS": "1",
            "usages-0-id": self.usage.pk,
            "usages-0-voucher": self.voucher.pk,
            "usages-0-DELETE": "on",
        }
        for person in (self.staff, self.desk):
            self.client.force_login(person)
            for base, row in ((VOUCHERS, self.voucher), (USAGES, self.usage)):
                self.assertEqual(self.client.get(f"{base}add/").status_code, 403)
                for address in (f"{base}add/", f"{base}{row.pk}/change/", f"{base}{row.pk}/delete/"):
                    self.assertEqual(
                        self.client.post(address, {**change, "post": "yes"}).status_code, 403, address
                    )
                    self.assertEqual(self.books(), before)
                chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
                self.client.post(base, chosen)
                self.assertEqual(self.books(), before)

    def test_pages_offer_nothing_to_fill_in(self) -> None:
        for address in (f"{VOUCHERS}{self.voucher.pk}/change/", f"{USAGES}{self.usage.pk}/change/"):
            page = self.page(address).content.decode()
            for name in ("code", "uses_remaining", "is_active", "status", "user", "face_value", "used_at_0"):
                self.assertNotIn(f'name="{name}"', page)
            self.assertNotIn('name="_save"', page)

    def test_lists_ask_the_database_as_often_for_many_rows_as_for_few(self) -> None:
        pages = (TYPES, VOUCHERS, USAGES)
        for address in pages:
            self.page(address)
        before = {address: self.queries_of(address) for address in pages}
        for number in range(20):
            make_used_voucher(owner=make_user(email=f"owner{number}@example.org"))
        self.assertEqual({address: self.queries_of(address) for address in pages}, before)

    def test_a_vouchers_page_asks_as_often_for_many_uses_as_for_few(self) -> None:
        address = f"{VOUCHERS}{self.voucher.pk}/change/"
        self.page(address)
        before = self.queries_of(address)
        for _ in range(2):
            services.redeem_voucher(code=self.voucher.code, user=make_user())
        self.assertEqual(self.queries_of(address), before)

    def books(self) -> tuple[list[Any], list[Any]]:
        return list(Voucher.objects.order_by("pk").values()), list(
            VoucherUsage.objects.order_by("pk").values()
        )


class VoucherTypeAdminTests(AdminTestCase):
    def form_data(self, **changes: Any) -> dict[str, Any]:
        return {
            "name": "Exam",
            "description": "",
            "service_type": "exam",
            "is_active": "on",
            "price": "12.00",
            "currency": "USD",
            "validity_days": "30",
            "max_uses": "2",
            **changes,
        }

    def opened(self, kind: VoucherType) -> dict[str, Any]:
        """What the page of a type, opened now, would send back unchanged."""
        page = self.page(f"{TYPES}{kind.pk}/change/")
        values = {field.name: field.value() for field in page.context["adminform"].form}
        hidden = {f"initial-{name}": value for name, value in values.items()}
        for name in hidden:
            self.assertContains(page, f'name="{name}"')
        return {**values, "is_active": "on" if values["is_active"] else "", **hidden}

    def test_a_type_is_added_and_edited(self) -> None:
        for person in (self.staff, self.desk):
            self.client.force_login(person)
            name = f"Type of {person.pk}"
            self.assertRedirects(self.client.post(f"{TYPES}add/", self.form_data(name=name)), TYPES)
            added = VoucherType.objects.get(name=name)
            self.assertEqual((added.price, added.max_uses, added.is_active), (Decimal("12.00"), 2, True))
            changed = {**self.opened(added), "price": "13.50", "is_active": ""}
            self.assertRedirects(self.client.post(f"{TYPES}{added.pk}/change/", changed), TYPES)
            added.refresh_from_db()
            self.assertEqual((added.price, added.is_active), (Decimal("13.50"), False))

    def test_a_page_that_was_open_for_long_saves_what_was_changed_on_it_and_nothing_else(self) -> None:
        kind = make_type(price="10.00")
        page = self.opened(kind)
        withdrawal.withdraw_type(voucher_type=kind, reason="Closed", actor=self.staff)
        VoucherType.objects.filter(pk=kind.pk).update(max_uses=3)
        self.client.post(f"{TYPES}{kind.pk}/change/", {**page, "price": "11.00"})
        kind.refresh_from_db()
        self.assertEqual((kind.price, kind.is_active, kind.max_uses), (Decimal("11.00"), False, 3))
        self.client.post(f"{TYPES}{kind.pk}/change/", {**self.opened(kind), "is_active": "on"})
        kind.refresh_from_db()
        self.assertTrue(kind.is_active)

    def test_it_refuses_what_no_type_may_be(self) -> None:
        wrong = (
            {"price": "-1"},
            {"price": "1.001"},
            {"currency": "usd"},
            {"validity_days": "0"},
            {"max_uses": "0"},
            {"service_type": "two words"},
            {"name": ""},
        )
        for change in wrong:
            response = self.client.post(f"{TYPES}add/", self.form_data(**change))
            self.assertEqual(response.status_code, 200, change)
            self.assertEqual(list(response.context["adminform"].form.errors), list(change))
            self.assertFalse(VoucherType.objects.exists())

    def test_letters_that_no_font_has_are_named_when_the_type_is_saved(self) -> None:
        def warnings_after_saving(address: str, name: str) -> list[str]:
            saved = self.client.post(address, self.form_data(name=name), follow=True)
            self.assertRedirects(saved, TYPES)
            return [str(message) for message in saved.context["messages"] if message.level_tag == "warning"]

        (warning,) = warnings_after_saving(f"{TYPES}add/", "ប្រឡង Exam")
        kind = VoucherType.objects.get(name="ប្រឡង Exam")
        self.assertIn("No font has ប \u17d2 រ ឡ ង: vouchers and receipts show ▯ for each", warning)
        for name in ("Exam Résultats", "የፈተና ውጤት", "परीक्षा परिणाम", "𞤔𞤢𞤲"):
            self.assertEqual(warnings_after_saving(f"{TYPES}{kind.pk}/change/", name), [], name)
        self.assertEqual(len(warnings_after_saving(f"{TYPES}{kind.pk}/change/", "ប")), 1)

    def test_editing_a_type_changes_no_voucher_that_was_sold(self) -> None:
        voucher = make_voucher(owner=self.customer)
        before = Voucher.objects.values().get()
        self.client.post(f"{TYPES}{voucher.voucher_type_id}/change/", self.form_data(service_type="other"))
        self.assertEqual(VoucherType.objects.get().service_type, "other")
        self.assertEqual(Voucher.objects.values().get(), before)

    def test_the_list_counts_the_vouchers_of_each_up_to_a_bound_and_leads_to_them(self) -> None:
        exam, empty = make_type(), make_type()
        vouchers = [make_voucher(owner=self.customer, voucher_type=exam) for _ in range(3)]
        make_voucher(owner=self.customer)
        page = self.page(TYPES).content.decode()
        for kind, number in ((exam, 3), (empty, 0)):
            address = f"{VOUCHERS}?voucher_type__id__exact={kind.pk}"
            self.assertIn(f'href="{address}">{number}</a>', page)
            self.assertCountEqual(self.rows(address), vouchers if number else [])
        with mock.patch("apps.vouchers.backoffice.types.MAX_LISTED", 2):
            self.assertContains(self.page(TYPES), ">2+</a>")

    def test_a_type_with_vouchers_can_not_be_deleted(self) -> None:
        voucher = make_voucher(owner=self.customer)
        for person in (self.staff, self.desk):
            self.client.force_login(person)
            address = f"{TYPES}{voucher.voucher_type_id}/delete/"
            self.assertEqual(self.client.post(address, {"post": "yes"}).status_code, 403)
            chosen = {"_selected_action": [voucher.voucher_type_id], "post": "yes"}
            response = self.client.post(TYPES, {"action": "delete_selected", **chosen})
            self.assertTellsNoCode(response)
            self.assertEqual(VoucherType.objects.get().pk, voucher.voucher_type_id)
            self.assertTrue(Voucher.objects.filter(pk=voucher.pk).exists())

    def test_a_type_that_was_never_sold_can_be_deleted(self) -> None:
        unsold = make_type()
        self.assertRedirects(self.client.post(f"{TYPES}{unsold.pk}/delete/", {"post": "yes"}), TYPES)
        self.assertFalse(VoucherType.objects.exists())

    def test_types_are_found_by_name_and_filtered_by_sale(self) -> None:
        exam, retired = make_type(name="Exam"), make_type(name="School", is_active=False)
        self.assertEqual(self.rows(TYPES, q="exam"), [exam, retired])  # both sell exam_results
        self.assertEqual(self.rows(TYPES, q="school"), [retired])
        self.assertEqual(self.rows(TYPES, is_active__exact=1), [exam])


class ExpiryInTheListTests(AdminTestCase):
    def test_a_voucher_expires_in_the_list_by_the_clock_alone(self) -> None:
        voucher = make_voucher(owner=self.customer)
        self.assertEqual(self.status_in_the_list(), "Active")
        Voucher.objects.filter(pk=voucher.pk).update(expiry_date=timezone.now() - timedelta(seconds=1))
        self.assertEqual(self.status_in_the_list(), "Expired")
        self.assertEqual(self.rows(VOUCHERS, status="expired"), [voucher])
        self.assertEqual(self.rows(VOUCHERS, status="active"), [])
