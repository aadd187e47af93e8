"""A whole batch is changed from its page, with a dry run before and its progress after; and leads to its vouchers."""

from datetime import timedelta
from typing import Any

from django.contrib.admin.models import LogEntry
from django.test import override_settings
from django.utils import timezone

from apps.core import bulk_operations
from apps.core.models import BulkOperation
from apps.users.tests.factories import make_user
from apps.vouchers import services
from apps.vouchers.models import Batch, Voucher, VoucherEvent

from .test_admin import VOUCHERS
from .test_batch_admin import BATCHES, BatchAdminTestCase

OPERATIONS = "/admin/core/bulkoperation/"


class ChangeTests(BatchAdminTestCase):
    def send(self, batch: Batch, action: str, **body: Any) -> Any:
        """Confirm the action on the page of the batch; what the database commits is then carried out."""
        with self.captureOnCommitCallbacks(execute=True):
            answer = self.client.post(f"{BATCHES}{batch.pk}/{action}/", {"reason": "Lost carton", **body})
        return self.client.get(answer["Location"]) if answer.status_code == 302 else answer

    def test_it_says_in_numbers_what_it_would_do_and_does_it(self) -> None:
        batch = self.make_batch(quantity=3)
        used = batch.vouchers.latest("pk")
        services.redeem_voucher(code=used.code, user=self.customer)
        address = f"{BATCHES}{batch.pk}/hold-vouchers/"
        self.assertContains(self.page(f"{BATCHES}{batch.pk}/change/"), f'href="{address}"')
        page = self.page(address)
        figures = dict(page.context["dry_run"].figures)
        self.assertEqual(
            (figures["Vouchers in the batch"], figures["To hold"], figures["Left alone: used up"]),
            ("3", "2", "1"),
        )
        self.assertTellsNoCode(page)
        self.assertEqual(VoucherEvent.objects.filter(kind="suspended").count(), 0)
        self.assertContains(self.client.post(address, {"reason": ""}), "This field is required")
        self.assertEqual(BulkOperation.objects.count(), 0)

        page = self.send(batch, "hold-vouchers")
        operation = BulkOperation.objects.get()
        self.assertEqual(page.request["PATH_INFO"], f"{OPERATIONS}{operation.pk}/change/")
        self.assertContains(page, "Completed")
        self.assertContains(page, "2 Held")
        self.assertNotIn("Refresh", page.headers)
        self.assertEqual(Voucher.objects.filter(holds="suspended").count(), 2)
        self.assertEqual(VoucherEvent.objects.filter(actor=self.staff, reason="Lost carton").count(), 2)
        self.assertIn("Lost carton", LogEntry.objects.get(object_id=str(batch.pk)).change_message)
        self.assertContains(self.page(f"{BATCHES}{batch.pk}/change/"), f"{OPERATIONS}{operation.pk}/change/")

        self.assertContains(self.page(address), "There is nothing to do.")
        self.assertContains(self.send(batch, "release-vouchers"), "2 Released")
        self.assertContains(self.send(batch, "void-vouchers"), "2 Voided")
        self.assertEqual(Voucher.objects.filter(holds="voided").count(), 2)

    def test_the_owner_is_changed_to_an_active_account(self) -> None:
        batch, other = self.make_batch(quantity=2), make_user()
        inactive = make_user(is_active=False)
        for address in ("nobody@example.org", inactive.email):
            page = self.send(batch, "reassign-vouchers", new_owner=address)
            self.assertContains(page, "There is no active account with this address")
        self.assertContains(
            self.send(batch, "reassign-vouchers", new_owner=other.email.upper()), "2 Reassigned"
        )
        self.assertEqual(Voucher.objects.filter(user=other).count(), 2)
        event = self.page(f"{VOUCHERS}{batch.vouchers.latest('pk').pk}/change/")
        self.assertContains(event, f"From user {self.customer.pk} to user {other.pk}")

    def test_a_second_one_is_refused_on_the_page_while_one_is_open(self) -> None:
        batch = self.make_batch()
        self.client.post(f"{BATCHES}{batch.pk}/hold-vouchers/", {"reason": "x"})  # nothing commits here
        page = self.send(batch, "void-vouchers")
        self.assertContains(page, "Another operation on this is not at its end")
        self.assertContains(page, "Lost carton")  # what was typed is still there
        self.assertEqual(BulkOperation.objects.count(), 1)

    def test_one_that_is_open_shows_its_progress_and_can_be_stopped_and_continued(self) -> None:
        batch = self.make_batch()
        self.client.post(f"{BATCHES}{batch.pk}/hold-vouchers/", {"reason": "x"})
        address = f"{OPERATIONS}{BulkOperation.objects.get().pk}/"
        page = self.page(f"{address}change/")
        self.assertEqual(page.headers["Refresh"], "3")
        self.assertContains(page, "0 of 4")
        self.assertContains(page, "manage.py run_bulk_operations")  # as there is no broker here
        self.client.post(f"{address}stop/", {"confirmed": "yes"})
        page = self.page(f"{address}change/")
        self.assertContains(page, "Stopped")
        self.assertNotContains(page, f'href="{address}stop/"')
        self.assertFalse(bulk_operations.run(BulkOperation.objects.get().pk))
        self.assertEqual(VoucherEvent.objects.filter(kind="suspended").count(), 0)
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post(f"{address}resume/", {"confirmed": "yes"})
        self.assertEqual(VoucherEvent.objects.filter(kind="suspended").count(), 4)
        self.assertNotContains(self.page(f"{address}change/"), f'href="{address}resume/"')

    def test_one_that_workers_should_be_at_says_so_after_ten_minutes_without_a_step(self) -> None:
        self.client.post(f"{BATCHES}{self.make_batch().pk}/hold-vouchers/", {"reason": "x"})
        address = f"{OPERATIONS}{BulkOperation.objects.get().pk}/change/"
        hint = "Nothing was done for 10 minutes: look whether worker and schedule run."
        for age, is_stalled in ((9, False), (11, True)):
            BulkOperation.objects.update(updated_at=timezone.now() - timedelta(minutes=age))
            with self.subTest(minutes=age), override_settings(CELERY_TASK_ALWAYS_EAGER=False):
                page = self.page(address)
                (self.assertContains if is_stalled else self.assertNotContains)(page, hint)

    def test_who_may_not_do_what_it_does_may_not_continue_it_either(self) -> None:
        batch = self.make_batch()
        self.client.post(f"{BATCHES}{batch.pk}/void-vouchers/", {"reason": "x"})
        operation = BulkOperation.objects.get()
        self.may("view_bulkoperation", "control_bulkoperation", "view_batch", "hold_batch")
        for action in ("stop", "resume"):
            page = self.client.post(
                f"{OPERATIONS}{operation.pk}/{action}/", {"confirmed": "yes"}, follow=True
            )
            self.assertContains(page, "You may not do what this operation does.")
        operation.refresh_from_db()
        self.assertEqual(operation.status, "queued")

    def test_an_unknown_batch_is_no_error(self) -> None:
        for number in ("999999", "x", str(10**30)):
            page = self.client.get(f"{BATCHES}{number}/hold-vouchers/", follow=True)
            self.assertEqual(page.status_code, 200)
            self.assertContains(page, "exist. Perhaps it was deleted?")


class LinkTests(BatchAdminTestCase):
    def test_its_counts_lead_to_its_vouchers_by_state(self) -> None:
        batch, other = self.make_batch(quantity=3), self.make_batch(quantity=2)
        used = batch.vouchers.latest("pk")
        services.redeem_voucher(code=used.code, user=self.customer)
        page = self.page(f"{BATCHES}{batch.pk}/change/")
        for query, expected in (
            (f"batch={batch.pk}", {*batch.vouchers.all()}),
            (f"batch={batch.pk}&amp;status=used", {used}),
            (f"batch={batch.pk}&amp;status=active", {*batch.vouchers.all()} - {used}),
        ):
            self.assertContains(page, f'href="{VOUCHERS}?{query}"')
            shown = self.page(f"{VOUCHERS}?{query.replace('&amp;', '&')}").context["cl"]
            self.assertEqual({*shown.result_list}, expected)
        self.assertEqual(self.page(f"{VOUCHERS}?batch={other.pk}").context["cl"].result_count, 2)
        self.assertEqual(self.page(VOUCHERS).context["cl"].result_count, 5)
        for number in ("x", str(10**30), "-1", "999999"):
            self.assertEqual(self.page(f"{VOUCHERS}?batch={number}").context["cl"].result_count, 0)

    def test_who_may_see_no_vouchers_sees_numbers_alone(self) -> None:
        batch = self.make_batch(quantity=3)
        self.may("view_batch")
        page = self.page(f"{BATCHES}{batch.pk}/change/")
        self.assertNotContains(page, f"{VOUCHERS}?batch")
