"""Batches in the admin: counted, issued up to a size, and exported by who may, on the record."""

import codecs
import csv
import io
from datetime import timedelta
from decimal import Decimal
from importlib.util import find_spec
from typing import Any
from unittest import skipUnless
from unittest.mock import patch

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.utils import timezone

from apps.users.tests.factories import make_deactivated, make_user
from apps.vouchers import codes, services
from apps.vouchers.backoffice import batches as batch_screens
from apps.vouchers.models import Batch, BatchExport, Voucher, VoucherType
from apps.vouchers.services import batches
from apps.vouchers.states import Hold

from .factories import held, make_type
from .test_admin import AdminTestCase

BATCHES = "/admin/vouchers/batch/"


class BatchAdminTestCase(AdminTestCase):
    def make_batch(self, quantity: int = 4, **fields: Any) -> Batch:
        batch = batches.get_or_create_batch(
            voucher_type=fields.pop("voucher_type", None) or make_type(),
            owner=self.customer,
            quantity=quantity,
            **fields,
        )
        batches.issue_remaining(batch=batch)
        return batch

    def may(self, *names: str) -> None:
        """Sign in as staff with these permissions and no more."""
        person = make_user(is_staff=True)
        person.user_permissions.set(Permission.objects.filter(codename__in=names))
        self.client.force_login(person)


class ListTests(BatchAdminTestCase):
    def cells(self, name: str) -> list[str]:
        page = self.page(BATCHES).content.decode()
        parts = page.split(f"field-{name}")[1:]
        return [part.partition(">")[2].partition("</td>")[0].strip() for part in parts]

    def test_it_counts_what_became_of_each_batch(self) -> None:
        batch = self.make_batch(quantity=6)
        used, expired, stopped, *_ = batch.vouchers.order_by("pk")
        services.redeem_voucher(code=used.code, user=self.customer)
        Voucher.objects.filter(pk=expired.pk).update(expiry_date=timezone.now() - timedelta(1))
        Voucher.objects.filter(pk=stopped.pk).update(**held(Hold.SUSPENDED))
        counted = {name: self.cells(name)[0] for name in ("issued", "active", "used", "expired", "inactive")}
        self.assertEqual(
            counted, {"issued": "6", "active": "3", "used": "1", "expired": "1", "inactive": "1"}
        )
        page = self.page(f"{BATCHES}{batch.pk}/change/")
        self.assertContains(page, batch.label)
        self.assertTellsNoCode(page)
        self.assertContains(page, codes.mask_code(used.code))

    def test_a_batch_that_was_interrupted_says_so(self) -> None:
        batch = batches.get_or_create_batch(voucher_type=make_type(), owner=self.customer, quantity=9)
        batches._issue_chunk(batch.pk, 2)
        self.assertEqual(self.cells("issued"), ["2 of 9"])

    def test_it_asks_the_database_as_often_for_many_batches_as_for_few(self) -> None:
        first = self.make_batch()
        pages = (BATCHES, f"{BATCHES}{first.pk}/change/")
        for address in pages:
            self.page(address)
        before = [self.queries_of(address) for address in pages]
        for _ in range(8):
            self.make_batch()
        services.redeem_voucher(code=first.vouchers.all()[0].code, user=self.customer)
        self.assertEqual([self.queries_of(address) for address in pages], before)

    def test_it_is_found_by_label_and_owner_and_never_changed(self) -> None:
        batch, _ = self.make_batch(label="Class of 2027"), self.make_batch(label="Other")
        self.assertEqual(self.rows(BATCHES, q="2027"), [batch])
        self.assertEqual(len(self.rows(BATCHES, q=self.customer.email)), 2)
        for address in (f"{BATCHES}{batch.pk}/change/", f"{BATCHES}{batch.pk}/delete/"):
            self.assertEqual(self.client.post(address, {"label": "x", "post": "yes"}).status_code, 403)
        batch.refresh_from_db()
        self.assertEqual(batch.label, "Class of 2027")


class IssueTests(BatchAdminTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.type = make_type(price="8.00", max_uses=2)

    def form_data(self, **changes: Any) -> dict[str, Any]:
        form_data = {
            "voucher_type": self.type.pk,
            "owner": self.customer.pk,
            "quantity": 3,
            "face_value": "",
            "label": "Class",
        }
        return {**form_data, **changes}

    def issue(self, **changes: Any) -> Any:
        return self.client.post(f"{BATCHES}add/", self.form_data(**changes))

    def test_staff_issue_a_batch_and_it_is_recorded(self) -> None:
        for person in (self.staff, self.desk):
            self.client.force_login(person)
            self.assertRedirects(self.issue(label=f"By {person.pk}"), BATCHES)
            batch = Batch.objects.get(label=f"By {person.pk}")
            self.assertEqual((batch.created_by, batch.owner, batch.quantity), (person, self.customer, 3))
            self.assertEqual(batch.note, "Admin")
            self.assertIsNotNone(batch.completed_at)
            self.assertEqual(
                set(batch.vouchers.values_list("face_value", "total_uses", "events__actor")),
                {(Decimal("8.00"), 2, person.pk)},
            )
            entry = LogEntry.objects.get(object_id=str(batch.pk))
            self.assertEqual((entry.user, entry.is_addition()), (person, True))

    def test_the_form_sent_twice_issues_once(self) -> None:
        label = self.page(f"{BATCHES}add/").context["adminform"].form.initial["label"]
        self.assertRedirects(self.issue(label=label), BATCHES)
        self.assertEqual(self.issue(label=label).status_code, 200)
        self.assertEqual((Batch.objects.count(), Voucher.objects.count()), (1, 3))

    def test_another_value_may_be_given(self) -> None:
        self.issue(face_value="0")
        self.assertEqual(set(Voucher.objects.values_list("face_value", flat=True)), {0})

    def test_it_refuses_and_issues_nothing(self) -> None:
        off_sale = make_type(is_active=False)
        for change in (
            {"quantity": 0},
            {"label": "two\nlines"},
            {"label": "For 2J39-NEH6-R3TU-N3J8"},
            {"quantity": batch_screens.MAX_VOUCHERS + 1},
            {"quantity": "x"},
            {"voucher_type": off_sale.pk},
            {"owner": make_deactivated().pk},
            {"owner": ""},
            {"label": ""},
            {"label": "x" * 201},
            {"label": "\0"},
            {"face_value": "-1"},
            {"face_value": "1.001"},
        ):
            response = self.issue(**change)
            self.assertEqual(response.status_code, 200, change)
            self.assertEqual(list(response.context["adminform"].form.errors), list(change))
        self.assertContains(self.issue(quantity=batch_screens.MAX_VOUCHERS + 1), "manage.py issue_vouchers")
        self.assertEqual((Batch.objects.count(), Voucher.objects.count()), (0, 0))

    def test_rows_that_are_none_are_refused_and_never_a_crash(self) -> None:
        for change in ({"owner": "x"}, {"owner": "%2A" * 5000}, {"voucher_type": "9" * 30}, {"owner": "-1"}):
            self.assertEqual(self.issue(**change).status_code, 400)
        self.assertEqual(self.client.get(f"{BATCHES}add/?owner=x&voucher_type=y").status_code, 200)
        self.assertFalse(Batch.objects.exists())

    def test_a_type_taken_off_sale_at_that_moment_is_said_and_nothing_issued(self) -> None:
        def get_or_create_batch(**options: Any) -> Batch:
            VoucherType.objects.update(is_active=False)
            return opened(**options)

        opened = batches.get_or_create_batch
        with patch.object(batches, "get_or_create_batch", get_or_create_batch):
            response = self.client.post(f"{BATCHES}add/", self.form_data(), follow=True)
        self.assertContains(response, "not on sale")
        self.assertEqual((Batch.objects.count(), Voucher.objects.count()), (0, 0))

    def test_only_who_may_add_batches_issues(self) -> None:
        self.may("view_batch", "export_codes")
        self.assertEqual(self.client.get(f"{BATCHES}add/").status_code, 403)
        self.assertEqual(self.issue().status_code, 403)
        self.assertEqual(Voucher.objects.count(), 0)


class ExportTests(BatchAdminTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.batch = self.make_batch(voucher_type=make_type(name="+1"), label="Class")
        self.change = f"{BATCHES}{self.batch.pk}/change/"
        self.export = f"{BATCHES}{self.batch.pk}/export-codes/"
        self.sheets = f"{BATCHES}{self.batch.pk}/print-sheets/"

    def test_it_asks_first_and_then_sends_every_code(self) -> None:
        self.assertContains(self.page(self.change), self.export)
        question = self.page(self.export)
        self.assertTellsNoCode(question)
        self.assertContains(question, "4 codes")
        self.assertEqual(BatchExport.objects.count(), 0)
        response = self.client.post(self.export)
        self.assertEqual(response["Content-Type"], "text/csv; charset=utf-8")
        self.assertEqual(
            response["Content-Disposition"], f'attachment; filename="batch-{self.batch.pk}-codes.csv"'
        )
        self.assertIn("no-store", response["Cache-Control"])
        content = response.getvalue()
        self.assertTrue(content.startswith(codecs.BOM_UTF8))
        text = content.decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        self.assertEqual(
            {codes.parse(row["code"]) for row in rows}, {v.code for v in self.batch.vouchers.all()}
        )
        self.assertEqual({(row["type"], row["batch"]) for row in rows}, {("'+1", "Class")})

    def test_cells_may_be_separated_by_semicolons(self) -> None:
        self.assertContains(self.page(self.export), "semicolons")
        text = self.client.post(self.export, {"separator": "semicolon"}).getvalue().decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=";"))
        self.assertEqual({(row["type"], row["uses"]) for row in rows}, {("'+1", "1")})
        response = self.client.post(self.export, {"separator": "tab"})
        self.assertContains(response, "Select a valid choice")
        self.assertEqual(BatchExport.objects.count(), 1)

    @skipUnless(find_spec("pypdfium2") and find_spec("zxingcpp"), "comes with requirements-dev.txt")
    def test_it_asks_first_and_then_sends_sheets_to_print(self) -> None:
        from tests.support.paper import links_in, pages_of

        self.assertContains(self.page(self.change), self.sheets)
        self.assertTellsNoCode(self.page(self.sheets))
        self.assertEqual(BatchExport.objects.count(), 0)
        with self.assertNumQueries(8):  # whatever the vouchers
            response = self.client.post(self.sheets)
        self.assertEqual(response["Content-Type"], "application/pdf")
        self.assertEqual(
            response["Content-Disposition"], f'attachment; filename="batch-{self.batch.pk}-vouchers.pdf"'
        )
        self.assertIn("no-store", response["Cache-Control"])
        [page] = pages_of(response.content)
        scanned = {codes.parse(link) for link in links_in(page)}
        self.assertEqual(scanned, {voucher.code for voucher in self.batch.vouchers.all()})

    def test_more_than_two_hundred_are_printed_by_the_command(self) -> None:
        Batch.objects.filter(pk=self.batch.pk).update(quantity=201)
        for call in (self.client.get, self.client.post):
            response = call(self.sheets, follow=True)
            self.assertContains(response, "At most 200 from here")
        self.assertEqual(BatchExport.objects.count(), 0)

    def test_each_export_is_recorded_and_shown(self) -> None:
        self.client.force_login(self.desk)
        for address, words in ((self.export, "Export codes"), (self.sheets, "Print sheets")):
            with self.subTest(words):
                self.client.post(address)
                export = BatchExport.objects.latest("pk")
                self.assertEqual((export.actor, export.codes, export.batch), (self.desk, 4, self.batch))
                self.assertEqual(export.note, words)
                self.assertEqual(LogEntry.objects.latest("pk").get_change_message(), f"{words}: 4.")
        for address in (self.change, self.export):
            self.assertContains(self.page(address), self.desk.email)

    def test_only_who_may_export_gets_them(self) -> None:
        for address in (self.export, self.sheets):
            for names in (("view_batch", "add_batch", "change_batch"), ("export_codes",)):
                self.may(*names)
                for call in (self.client.get, self.client.post):
                    self.assertEqual(call(address).status_code, 403)
            self.may("view_batch")
            self.assertNotContains(self.client.get(self.change), address)
        self.assertEqual(BatchExport.objects.count(), 0)
        self.may("view_batch", "export_codes")
        for address in (self.export, self.sheets):
            self.assertEqual(self.client.post(address).status_code, 200)

    def test_without_the_csrf_token_nothing_leaves(self) -> None:
        self.client.handler.enforce_csrf_checks = True
        for address in (self.export, self.sheets):
            self.assertEqual(self.client.post(address).status_code, 403)
        self.assertEqual(BatchExport.objects.count(), 0)

    def test_a_batch_that_is_not_complete_is_not_exported(self) -> None:
        batch = batches.get_or_create_batch(voucher_type=make_type(), owner=self.customer, quantity=9)
        for path in ("export-codes", "print-sheets"):
            response = self.client.post(f"{BATCHES}{batch.pk}/{path}/", follow=True)
            self.assertContains(response, "not complete")
        self.assertEqual(BatchExport.objects.count(), 0)

    def test_what_is_not_there_is_not_exported(self) -> None:
        for number in ("999999", "x", "9" * 30):
            for path in ("export-codes", "print-sheets"):
                self.assertEqual(self.client.get(f"{BATCHES}{number}/{path}/").status_code, 302)
