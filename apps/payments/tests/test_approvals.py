"""The page of what waits for a second person."""

from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Permission
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from apps.payments import services
from apps.payments.models import Refund
from apps.users.tests.factories import make_user
from apps.vouchers.models import CodeExportRequest
from apps.vouchers.services import code_exports
from apps.vouchers.tests.factories import make_batch_vouchers

from .staff import StaffTestCase

PAGE = "/admin/payments/refund/approvals/"
REFUND, EXPORT = ("view_refund", "decide_refund"), ("view_codeexportrequest", "decide_code_export")


@override_settings(SECOND_PERSON_REFUNDS={"USD": Decimal(20)}, SECOND_PERSON_CODE_EXPORTS={"USD": Decimal(0)})
class ApprovalsTests(StaffTestCase):
    def setUp(self):
        super().setUp()
        self.large = self.buy(3)
        self.colleague = make_user(is_staff=True)
        self.colleague.user_permissions.set(Permission.objects.filter(codename__in=(*REFUND, *EXPORT)))
        batch = make_batch_vouchers(owner=self.customer, quantity=2)[0].batch
        assert batch
        self.batch = batch
        self.large_refund = services.request_refund_by_staff(
            transaction_id=self.large.pk, actor=self.desk, reason="Sold <b>twice</b>"
        )
        self.export_request = code_exports.request_code_export(
            batch=self.batch, actor=self.desk, reason="For Accra High School"
        )

    def rows(self, user):
        """The rows of each table on the page, as text."""
        self.client.force_login(user)
        response = self.client.get(PAGE)
        self.assertEqual(response.status_code, 200)
        self.assertTellsNoCode(response)
        return {
            section["title"]: [" | ".join(map(str, row)) for row in section["table"]["rows"]]
            for section in response.context["sections"]
        }

    def test_it_lists_both_kinds_with_who_asked_and_why(self):
        rows = self.rows(self.colleague)
        [refund], [export] = rows["Refunds"], rows["Exports of codes"]
        for text in (
            f"/refund/{self.large_refund.pk}/change/",
            "30.00\u00a0USD",
            self.desk.email,
            "Look and decide",
        ):
            self.assertIn(text, refund)
        for text in (
            f"/codeexportrequest/{self.export_request.pk}/",
            "2 codes of",
            self.desk.email,
            "Look and decide",
        ):
            self.assertIn(text, export)
        page = self.client.get(PAGE)
        self.assertContains(page, "For Accra High School")
        self.assertContains(page, "Sold &lt;b&gt;twice&lt;/b&gt;")

    def test_who_asked_reads_that_somebody_else_decides(self):
        self.allow(*REFUND, *EXPORT)
        for section in self.rows(self.desk).values():
            self.assertIn("You asked for it: somebody else decides", section[0])

    def test_what_is_small_or_decided_is_not_on_it(self):
        small = services.request_refund_by_staff(
            transaction_id=self.buy(1).pk, actor=self.desk, reason="Small"
        )
        self.assertFalse(small.needs_second_person)
        services.approve_refund(refund_id=self.large_refund.pk, actor=self.colleague)
        code_exports.reject_code_export(request_id=self.export_request.pk, actor=self.colleague, note="No")
        self.assertEqual(self.rows(self.colleague), {"Refunds": [], "Exports of codes": []})
        self.assertContains(self.client.get(PAGE), "Nothing is waiting.", 2)

    def test_each_sees_what_they_may_decide(self):
        for codenames, titles in ((REFUND, ["Refunds"]), (EXPORT, ["Exports of codes"])):
            viewer = make_user(is_staff=True)
            viewer.user_permissions.set(Permission.objects.filter(codename__in=codenames))
            self.assertEqual(list(self.rows(viewer)), titles)
        without: Any = (
            (),
            ("view_refund", "make_refund"),
            ("decide_refund",),
            ("view_codeexportrequest",),
        )
        for codenames in without:
            viewer = make_user(is_staff=True)
            viewer.user_permissions.set(Permission.objects.filter(codename__in=codenames))
            self.client.force_login(viewer)
            self.assertEqual(self.client.get(PAGE).status_code, 403)
        self.client.force_login(self.customer)
        self.assertEqual(self.client.get(PAGE).status_code, 302)

    def test_it_takes_the_same_queries_for_many_and_says_when_there_are_more(self):
        self.client.force_login(self.colleague)

        def count():
            with CaptureQueriesContext(connection) as captured:
                self.client.get(PAGE)
            return len(captured)

        count()
        before = count()
        self.assertLessEqual(before, 12)
        Refund.objects.bulk_create(
            Refund(
                transaction=self.large,
                amount=30,
                origin="staff",
                requested_by=self.desk,
                needs_second_person=True,
            )
            for _ in range(60)
        )
        self.assertEqual(count(), before)
        self.assertEqual(len(self.rows(self.colleague)["Refunds"]), 50)
        response = self.client.get(PAGE)
        self.assertContains(response, "See all of them", 1)
        everything = self.client.get(response.context["sections"][0]["all"])
        self.assertEqual(everything.context["cl"].result_count, 61)
        self.assertEqual(CodeExportRequest.objects.count(), 1)
