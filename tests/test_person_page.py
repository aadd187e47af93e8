"""The page of a person in the admin, with what every app knows of them."""

from typing import Any

from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.authentication import services as authentication
from apps.authentication.models import Session
from apps.payments.tests.money import PaidTestCase
from apps.users.tests.factories import make_other_customer, make_staff, make_user
from tests.support.cases import ApiTestCase

PARTS = ("Purchases", "Refunds", "Vouchers", "Redemptions", "Sessions")
MOST_QUERIES = 12


class PersonPageTests(PaidTestCase, ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        paid = self.buy(2)
        self.redeem(paid.vouchers[0])
        self.ask(self.buy(1))
        authentication.open_session(user=self.customer)
        other = make_other_customer()
        authentication.open_session(user=other)
        self.office: Any = Client()
        self.office.force_login(make_staff(email="root@example.com"))
        self.page = f"/admin/users/user/{self.customer.pk}/change/"
        self.address = f"/admin/users/user/{self.customer.pk}/parts/"

    def parts(self) -> dict[str, Any]:
        return {part["title"]: part for part in self.office.get(self.address).context["parts"]}

    def test_it_shows_what_each_app_has_of_them_and_leads_to_the_lists(self) -> None:
        parts = self.parts()
        self.assertEqual(tuple(parts), PARTS)
        counts = {title: part["count"] for title, part in parts.items()}
        sessions = str(Session.objects.filter(user=self.customer).count())
        self.assertEqual(
            counts,
            {**dict.fromkeys(PARTS, "1"), "Purchases": "2", "Vouchers": "3", "Sessions": sessions},
        )
        for title, part in parts.items():
            with self.subTest(title):
                self.assertEqual(len(part["rows"]), int(part["count"]))
                page = self.office.get(part["address"])
                self.assertEqual(page.context["cl"].result_count, int(part["count"]))
                self.assertContains(page, self.customer.email)
                for address, _ in part["rows"]:
                    self.assertEqual(self.office.get(address).status_code, 200)

    def test_the_page_fetches_them(self) -> None:
        self.assertContains(self.office.get(self.page), f'hx-get="{self.address}"')

    def test_who_may_not_see_the_person_sees_nothing(self) -> None:
        desk = make_user(is_staff=True)
        desk.user_permissions.set(Permission.objects.exclude(codename__in=("view_user", "change_user")))
        self.office.force_login(desk)
        self.assertEqual(self.office.get(self.address).status_code, 403)
        self.office.force_login(self.customer)
        self.assertEqual(self.office.get(self.address).status_code, 302)

    def test_each_part_needs_its_permission(self) -> None:
        desk = make_user(is_staff=True)
        self.office.force_login(desk)
        for codename, shown in (
            (None, ()),
            ("view_voucher", ("Vouchers",)),
            ("view_voucherusage", ("Redemptions",)),
            ("view_transaction", ("Purchases",)),
            ("view_refund", ("Refunds",)),
            ("view_session", ("Sessions",)),
        ):
            with self.subTest(codename):
                names = ("view_user", codename)
                desk.user_permissions.set(Permission.objects.filter(codename__in=names))
                self.assertEqual(tuple(self.parts()), shown)

    def test_it_takes_few_queries_however_much_there_is(self) -> None:
        for _ in range(11):
            authentication.open_session(user=self.customer)
        self.office.get(self.address)
        for person in (make_staff(email="other@example.com"), make_user(is_staff=True)):
            if not person.is_superuser:
                person.user_permissions.set(Permission.objects.all())
            self.office.force_login(person)
            with self.subTest(superuser=person.is_superuser), CaptureQueriesContext(connection) as captured:
                sessions = self.parts()["Sessions"]
            self.assertEqual((len(sessions["rows"]), sessions["has_more"]), (10, True))
            self.assertLessEqual(len(captured), MOST_QUERIES)
            with CaptureQueriesContext(connection) as captured:
                self.assertEqual(self.office.get(self.page).status_code, 200)
            self.assertLessEqual(
                len(captured), MOST_QUERIES, [each["sql"][:400] for each in captured.captured_queries]
            )

    def test_a_list_by_the_number_of_nobody_is_empty_and_by_none_is_refused(self) -> None:
        for number, status in (("999999999", 200), ("x", 302), ("1 OR 1=1", 302), ("9" * 30, 302)):
            for path in (
                "vouchers/voucher",
                "vouchers/voucherusage",
                "payments/refund",
                "authentication/session",
            ):
                with self.subTest(path, number=number):
                    page = self.office.get(f"/admin/{path}/", {"person": number})
                    self.assertEqual(page.status_code, status)
                    if status == 200:
                        self.assertEqual(page.context["cl"].result_count, 0)
