"""Staff print all vouchers of a purchase: recorded as an export of codes, and bounded like one."""

from importlib.util import find_spec
from typing import Any
from unittest import skipUnless
from unittest.mock import patch

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import override_settings

from apps.core.models import DataExport
from apps.payments.backoffice import printing
from apps.payments.tests.factories import make_completed_transaction, make_transaction
from apps.users.tests.factories import make_user
from apps.vouchers.tests.test_admin import AdminTestCase
from tests.support.paper import sizes_of, text_of


@skipUnless(find_spec("reportlab"), "comes with requirements.txt")
class PrintTests(AdminTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.paid = make_completed_transaction(user=self.customer, quantity=2)
        self.address = f"/admin/payments/transaction/{self.paid.pk}/print-vouchers/"

    def print(self, paper: str = "a4", **options: Any) -> Any:
        return self.client.post(self.address, {"confirmed": "yes", "paper": paper}, **options)

    def assertRefused(self, words: str) -> None:
        page = self.print(follow=True)
        self.assertContains(page, words)
        self.assertTellsNoCode(page)
        self.assertEqual(DataExport.objects.count(), 0)

    def test_all_codes_are_in_one_file_that_is_recorded(self) -> None:
        page = self.page(self.address)
        self.assertContains(page, "That you took them is recorded.")
        self.assertTellsNoCode(page)
        self.assertEqual(DataExport.objects.count(), 0)
        answer = self.print()
        self.assertEqual(answer.headers["Content-Type"], "application/pdf")
        self.assertIn("no-store", answer.headers["Cache-Control"])
        text = text_of(answer.content)
        for voucher in self.paid.vouchers:
            self.assertIn(voucher.shown_code, text)
        record = DataExport.objects.get()
        self.assertEqual(
            (record.table, record.file_type, record.actor, record.criteria, record.rows),
            ("Codes of a purchase", "pdf", self.staff, f"Transaction {self.paid.pk}", 2),
        )
        self.assertIn("Printed the vouchers: 2", LogEntry.objects.latest("pk").change_message)

    def test_it_is_printed_on_the_paper_that_was_chosen(self) -> None:
        pages = {paper: sizes_of(self.print(paper).content) for paper in ("a4", "letter", "a5", "80mm")}
        self.assertEqual([len(sizes) for sizes in pages.values()], [1, 1, 2, 2])
        widths = {paper: round(sizes[0][0] / 72 * 25.4) for paper, sizes in pages.items()}
        self.assertEqual(widths, {"a4": 210, "letter": 216, "a5": 210, "80mm": 80})

    def test_no_other_paper_is_taken_and_nothing_recorded(self) -> None:
        for paper in ("", "a3", "\x00"):
            page = self.print(paper)
            self.assertEqual((page.status_code, page.headers["Content-Type"][:9]), (200, "text/html"))
            self.assertTellsNoCode(page)
        self.assertEqual(DataExport.objects.count(), 0)

    def test_above_the_set_amount_one_person_gets_none(self) -> None:
        price = self.paid.amount
        with override_settings(SECOND_PERSON_CODE_EXPORTS={"USD": price - 1}):
            self.assertRefused("worth more than one person may take alone")
        with override_settings(SECOND_PERSON_CODE_EXPORTS={"EUR": price}):
            self.assertRefused("worth more than one person may take alone")
        with override_settings(SECOND_PERSON_CODE_EXPORTS={"USD": price}):
            self.assertEqual(self.print().headers["Content-Type"], "application/pdf")
            self.paid.voucher_type.price += 1  # today's price counts too
            self.paid.voucher_type.save()
            DataExport.objects.all().delete()
            self.assertRefused("worth more than one person may take alone")

    def test_what_was_not_paid_has_none(self) -> None:
        unpaid = make_transaction(user=self.customer)
        self.address = f"/admin/payments/transaction/{unpaid.pk}/print-vouchers/"
        self.assertRefused("has not been paid")

    def test_not_very_many_at_once(self) -> None:
        with patch.object(printing, "PRINTED_AT_ONCE", 1):
            self.assertRefused("At most 1 from here")

    def test_to_see_the_purchase_or_to_export_codes_alone_is_not_enough(self) -> None:
        for name in ("view_transaction", "export_codes"):
            person = make_user(is_staff=True)
            person.user_permissions.set(Permission.objects.filter(codename=name))
            self.client.force_login(person)
            self.assertEqual(
                (self.print().status_code, self.client.get(self.address).status_code), (403, 403)
            )
        self.assertEqual(DataExport.objects.count(), 0)
