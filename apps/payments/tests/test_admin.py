"""What staff see of payments, and what they can't do to them."""

from typing import Any

from django.db.models import ProtectedError
from django.utils import timezone

from apps.payments.models import SoldVoucher, StripeEvent, Transaction
from apps.users.models import User
from apps.users.tests.factories import make_other_customer, make_user
from apps.vouchers.models import Voucher, VoucherType
from apps.vouchers.tests.factories import make_type
from apps.vouchers.tests.test_admin import TYPES, AdminTestCase

from .factories import make_completed_transaction, make_transaction

TRANSACTIONS = "/admin/payments/transaction/"
EVENTS = "/admin/payments/stripeevent/"


class PaymentsAdminTests(AdminTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.transaction = make_completed_transaction(user=self.customer, quantity=2)
        self.voucher = Voucher.objects.filter(sale__transaction=self.transaction).earliest("sale__line_no")
        self.waiting = StripeEvent.objects.create(stripe_id="evt_1", type="charge.refunded", object_id="pi_1")
        self.applied = StripeEvent.objects.create(
            stripe_id="evt_2", type="payment_intent.succeeded", object_id="pi_2", processed_at=timezone.now()
        )

    def test_every_page_answers_and_none_tells_a_code(self) -> None:
        unpaid = make_transaction(user=self.customer)
        for person in (self.staff, self.desk):
            self.client.force_login(person)
            for address in (
                "/admin/payments/",
                TRANSACTIONS,
                f"{TRANSACTIONS}{self.transaction.pk}/change/",
                f"{TRANSACTIONS}{self.transaction.pk}/history/",
                f"{TRANSACTIONS}{unpaid.pk}/change/",
                EVENTS,
                f"{EVENTS}{self.waiting.pk}/change/",
            ):
                self.assertTellsNoCode(self.page(address))

    def test_a_transaction_shows_its_money_and_links_to_its_vouchers(self) -> None:
        page = self.page(f"{TRANSACTIONS}{self.transaction.pk}/change/")
        for voucher in Voucher.objects.all():
            link = f'href="/admin/vouchers/voucher/{voucher.pk}/change/">····-{voucher.code[-4:]}</a>'
            self.assertContains(page, link)
        for text in (
            "20.00\N{NO-BREAK SPACE}USD",
            "Completed",
            f"{self.transaction.stripe_payment_intent_id}",
        ):
            self.assertContains(page, text)

    def test_transactions_are_found_by_buyer_number_intent_and_voucher_code(self) -> None:
        other = make_completed_transaction(user=make_other_customer())
        code = self.voucher.shown_code
        for typed in (
            "carla",
            self.transaction.pk,
            self.transaction.stripe_payment_intent_id,
            code,
            code.lower(),
            code[-4:],
        ):
            response = self.page(TRANSACTIONS, q=typed)
            self.assertEqual(list(response.context["cl"].result_list), [self.transaction], typed)
            self.assertTellsNoCode(response)
        self.assertEqual(self.rows(TRANSACTIONS, q="otto"), [other])
        self.assertEqual(self.rows(TRANSACTIONS, q="9" * 40), [])

    def test_transactions_are_filtered_by_status(self) -> None:
        unpaid = make_transaction(user=self.customer)
        self.assertEqual(self.rows(TRANSACTIONS, status__exact="pending"), [unpaid])
        self.assertEqual(self.rows(TRANSACTIONS, status__exact="completed"), [self.transaction])

    def test_events_that_wait_are_found(self) -> None:
        self.assertEqual(self.rows(EVENTS, state="waiting"), [self.waiting])
        self.assertEqual(self.rows(EVENTS, state="applied"), [self.applied])
        self.assertCountEqual(self.rows(EVENTS), [self.waiting, self.applied])
        self.assertEqual(self.rows(EVENTS, q="evt_2"), [self.applied])
        self.assertEqual(self.rows(EVENTS, q="refunded"), [self.waiting])

    def test_nobody_adds_changes_or_deletes_them(self) -> None:
        before = self.books()
        sold = SoldVoucher.objects.earliest("line_no")
        change = {
            "status": "refunded",
            "amount": "1.00",
            "amount_refunded": "1.00",
            "processed_at_0": "2025-01-01",
            "processed_at_1": "00:00:00",
            "outcome": "done",
            "sold_vouchers-TOTAL_FORMS": "1",
            "sold_vouchers-INITIAL_FORMS": "1",
            "sold_vouchers-0-id": sold.pk,
            "sold_vouchers-0-transaction": self.transaction.pk,
            "sold_vouchers-0-DELETE": "on",
            "post": "yes",
        }
        for person in (self.staff, self.desk):
            self.client.force_login(person)
            for base, row in ((TRANSACTIONS, self.transaction), (EVENTS, self.waiting)):
                self.assertEqual(self.client.get(f"{base}add/").status_code, 403)
                for address in (f"{base}add/", f"{base}{row.pk}/change/", f"{base}{row.pk}/delete/"):
                    self.assertEqual(self.client.post(address, change).status_code, 403, address)
                    self.assertEqual(self.books(), before)
                self.client.post(
                    base, {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
                )
                self.assertEqual(self.books(), before)

    def test_a_type_with_transactions_can_not_be_deleted(self) -> None:
        sold_type = make_type()
        make_transaction(user=self.customer, voucher_type=sold_type)
        self.client.post(f"{TYPES}{sold_type.pk}/delete/", {"post": "yes"})
        self.client.post(
            TYPES, {"action": "delete_selected", "_selected_action": [sold_type.pk], "post": "yes"}
        )
        self.assertTrue(VoucherType.objects.filter(pk=sold_type.pk).exists())

    def test_a_user_with_books_can_not_be_deleted(self) -> None:
        address = f"/admin/users/user/{self.customer.pk}/delete/"
        self.assertEqual(self.client.post(address, {"post": "yes"}).status_code, 403)
        with self.assertRaises(ProtectedError):
            self.customer.delete()
        self.assertTrue(User.objects.filter(pk=self.customer.pk).exists())

    def test_lists_ask_the_database_as_often_for_many_rows_as_for_few(self) -> None:
        pages = (TRANSACTIONS, EVENTS)
        for address in pages:
            self.page(address)
        before = {address: self.queries_of(address) for address in pages}
        for number in range(20):
            make_completed_transaction(user=make_user())
            StripeEvent.objects.create(stripe_id=f"evt_{number}_", type="charge.refunded", object_id="pi_1")
        self.assertEqual({address: self.queries_of(address) for address in pages}, before)

    def test_a_transactions_page_asks_as_often_for_many_vouchers_as_for_few(self) -> None:
        large = make_completed_transaction(user=self.customer, quantity=10)
        pages = [f"{TRANSACTIONS}{row.pk}/change/" for row in (self.transaction, large)]
        self.page(pages[0])
        self.assertEqual(self.queries_of(pages[0]), self.queries_of(pages[1]))

    def books(self) -> list[list[dict[str, Any]]]:
        models: tuple[Any, ...] = (Transaction, SoldVoucher, StripeEvent)
        return [list(model.objects.order_by("pk").values()) for model in models]
