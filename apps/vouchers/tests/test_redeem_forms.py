"""A redemption is one statement on PostgreSQL, and several elsewhere: both do the same, and answer it byte for byte."""

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from unittest import skipUnless
from unittest.mock import patch

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.users.tests.factories import make_customer, make_other_customer, make_staff
from apps.vouchers import services
from apps.vouchers.models import Voucher, VoucherType, VoucherUsage
from apps.vouchers.services import redemption
from tests.support.cases import ApiTestCase, RaceTestCase

from . import test_redeem, test_redeem_again, test_redeem_limits, test_redeem_races
from .factories import answer_to, make_type, make_voucher
from .races import hold_row, wait_for_locks
from .test_documents import AWKWARD_TEXTS

URL = "/api/vouchers/redeem/"
DETAILS: tuple[dict[str, Any], ...] = (
    {},
    {"b": 1, "a": [None, True, False, -0.5, 1e20, 1e-7, 10**31, 0.1, -0.0, 1.0], "": {"deep": [{"er": []}]}},
    {"text": AWKWARD_TEXTS[0], "%s": "%(code)s %% '", "quotes": AWKWARD_TEXTS[1] + "\\u2028 \x01\x1f\x7f"},
    {"nothing": None},
)
FEWER_ROUNDS = 3  # SQLite, which uses this form, lets one write after the other
on_postgresql = skipUnless(connection.vendor == "postgresql", "elsewhere there is one form")


class StepByStep:
    """The tests of a class with the form for other databases."""

    def setUp(self) -> None:
        form = patch.object(redemption, "ONE_STATEMENT", ())
        form.start()
        self.addCleanup(form.stop)  # type: ignore[attr-defined]
        super().setUp()  # type: ignore[misc]


@on_postgresql
class RedeemStepByStep(StepByStep, test_redeem.RedeemTests):
    queries = 4


@on_postgresql
class RedeemAgainStepByStep(StepByStep, test_redeem_again.RedeemAgain):
    queries = 6


@on_postgresql
class WrongCodesStepByStep(StepByStep, test_redeem_limits.WrongCodes):
    queries = 4


@on_postgresql
class RedeemRaceStepByStep(StepByStep, test_redeem_races.RedeemRaceTests):
    rounds = FEWER_ROUNDS


@on_postgresql
class OneKeyRaceStepByStep(StepByStep, test_redeem_races.OneKeyRaceTests):
    rounds = FEWER_ROUNDS


class AnswerTests(ApiTestCase):
    """The answer is that of the documented serializer, whatever the rows hold."""

    def setUp(self) -> None:
        super().setUp()
        self.customer, self.other_customer = make_customer(), make_other_customer()

    def assertAsDocumented(self, voucher: Voucher, **fields: Any) -> None:
        keys: Any = ({}, {"HTTP_IDEMPOTENCY_KEY": f"key {voucher.pk}"})
        for key in keys:
            body = json.dumps({"code": voucher.code, **fields})
            client = self.signed_in(self.customer)
            response = client.generic("POST", URL, body, content_type="application/json", **key)
            self.assertEqual(response.status_code, 200, response.content)
            usage = VoucherUsage.objects.select_related("voucher__voucher_type").latest("id")
            usage.details = fields.get("details", {})  # as sent: the database keeps numbers in other words
            self.assertEqual(response.content.decode(), answer_to(usage).text)
            self.assertEqual(usage.answer, response.content.decode() if key else None)

    def test_with_details_of_every_kind(self):
        for details in DETAILS:
            voucher = make_voucher(owner=self.other_customer, voucher_type=make_type(max_uses=2))
            self.assertAsDocumented(voucher, details=details, service_type="exam_results")

    def test_of_types_with_awkward_texts_that_were_changed_after_the_sale(self):
        for number, text in enumerate(AWKWARD_TEXTS):
            voucher_type = make_type(
                name=f"{number}{text}"[:200], description=text, max_uses=3, currency="JPY"
            )
            unchanged, renamed, unknown = (
                make_voucher(owner=self.customer, voucher_type=voucher_type) for _ in "123"
            )
            self.assertAsDocumented(unchanged)
            VoucherType.objects.filter(pk=voucher_type.pk).update(
                name=f"{number}%s {text[:190]}", price=Decimal("0.50"), service_type="other", is_active=False
            )
            self.assertAsDocumented(renamed)
            Voucher.objects.filter(pk=unknown.pk).update(type_name="", face_value=Decimal("12345678.90"))
            self.assertAsDocumented(unknown)

    def test_of_vouchers_that_were_extended_reversed_and_reissued(self):
        voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=4))
        self.assertAsDocumented(voucher)
        services.reverse_usage(usage_id=voucher.usages.latest("id").pk, actor=make_staff(), reason="Wrong.")
        services.reissue_voucher(voucher_id=voucher.pk, actor=self.customer, reason="Lost.")
        Voucher.objects.update(
            purchase_date=timezone.now().replace(microsecond=0),
            expiry_date=timezone.now().replace(microsecond=120_000) + timedelta(days=3),
        )
        VoucherUsage.objects.update(idempotency_key=None)
        voucher.refresh_from_db()
        self.assertAsDocumented(voucher)

    def test_days_are_counted_by_the_local_date(self):
        for zone in ("UTC", "Pacific/Auckland", "America/Los_Angeles", "Asia/Kathmandu"):
            with timezone.override(zone):
                for hours in (1, 12, 23, 25, 49, 24 * 400):
                    expiry = timezone.now() + timedelta(hours=hours)
                    voucher_type = make_type(max_uses=3)
                    self.assertAsDocumented(
                        make_voucher(owner=self.customer, voucher_type=voucher_type, expiry_date=expiry)
                    )


@on_postgresql
class OneStatementTests(RaceTestCase):
    """Outside any transaction, as in production."""

    def setUp(self) -> None:
        super().setUp()
        self.customer = make_customer()
        self.api = self.signed_in(self.customer)

    def test_no_transaction_is_opened_around_it(self):
        voucher = make_voucher(owner=self.customer, voucher_type=make_type(max_uses=9))
        body = {"code": voucher.code, "details": {"desk": 7}}
        requests: Any = ((2, {}), (3, {"HTTP_IDEMPOTENCY_KEY": "once"}))
        for number, key in requests:
            with CaptureQueriesContext(connection) as captured:
                self.assertEqual(self.api.post(URL, body, **key).status_code, 200)
            statements = [query["sql"] for query in captured.captured_queries]  # BEGIN and COMMIT among them
            self.assertEqual(len(statements), number, statements)

    def late(self, voucher: Voucher) -> tuple[Any, Voucher]:
        """The answer to a redemption that began in time, and had to wait for the row past the expiry."""
        expiry = timezone.now() + timedelta(seconds=2)
        Voucher.objects.filter(pk=voucher.pk).update(expiry_date=expiry)
        with hold_row(voucher, until=expiry + timedelta(seconds=0.2)):
            answer = self.api.post(URL, {"code": voucher.code})
        voucher.refresh_from_db()
        return answer, voucher

    def test_a_use_is_never_recorded_after_the_expiry_that_it_met(self):
        answer, voucher = self.late(make_voucher(owner=self.customer, voucher_type=make_type(max_uses=2)))
        self.assertEqual(answer.status_code, 200, answer.content)
        self.assertEqual(voucher.usages.get().used_at, voucher.expiry_date)
        self.assertEqual((answer.json()["voucher"]["status"], voucher.uses_remaining), ("expired", 1))

    def test_what_changes_while_it_waits_for_the_row_decides(self):
        staff = make_staff()
        changes: tuple[tuple[Callable[[int], object], int, str], ...] = (
            (
                lambda pk: services.suspend_vouchers([pk], actor=staff, reason="Lost."),
                409,
                "voucher_inactive",
            ),
            (
                lambda pk: services.reissue_voucher(voucher_id=pk, actor=staff, reason="Lost."),
                404,
                "voucher_not_found",
            ),
            (lambda pk: Voucher.objects.filter(pk=pk).update(uses_remaining=0), 409, "voucher_used_up"),
        )
        for change, status, code in changes:
            voucher = make_voucher(owner=self.customer)
            with hold_row(voucher, then=partial(change, voucher.pk)) as let_go:

                def release(let_go: Callable[[], None] = let_go) -> None:
                    wait_for_locks(1)
                    let_go()

                body = {"code": voucher.code, "details": {"desk": 7}}
                answer: Any = self.together(partial(self.api.post, URL, body), release)[0]
            self.assertProblem(answer, status, code)
            self.assertEqual(voucher.usages.count(), 0)
