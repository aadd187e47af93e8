"""Every action of the admin: refused with all permissions but its own, offered and done with its own alone."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, Final
from unittest import skipUnless

from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db import models, transaction
from django.test import Client, RequestFactory, tag
from django.utils import timezone
from post_office.models import STATUS, Email

from apps.authentication import services as authentication
from apps.authentication.models import Session
from apps.core.models import BulkOperation, DataExport
from apps.payments.models import Refund, RefundedVoucher, RefundStatus
from apps.payments.tests.money import PaidTestCase
from apps.users.models import User
from apps.users.tests.factories import make_staff, make_unconfirmed, make_user
from apps.vouchers import services as voucher_services
from apps.vouchers.models import (
    BatchExport,
    CodeExportRequest,
    UsageReversal,
    Voucher,
    VoucherEvent,
    VoucherType,
    VoucherUsage,
)
from apps.vouchers.services import code_exports
from apps.vouchers.tests.factories import make_batch_vouchers, make_type
from tests.support.cases import ApiTestCase

SUPERUSER: Final = ""  # instead of a permission: no permission is enough


@dataclass(frozen=True)
class Row:
    """An action of a screen: its permission, the row that it is tried on, and how one sees that it was done."""

    model: str
    action: str
    permission: str
    chosen: models.Model
    done: Callable[[], bool]
    answers: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.model} {self.action}"


def actions_in_the_admin() -> set[tuple[str, str]]:
    """Each action that any screen has, for somebody who may do everything."""
    request = RequestFactory().get("/admin/")
    request.user = make_staff(email="superuser@example.com")
    actions = set()
    for model, screen in admin.site._registry.items():
        names = set(screen.get_actions(request))
        for place in ("actions_list", "actions_row", "actions_detail", "actions_submit_line"):
            for entry in getattr(screen, place, None) or ():
                names.update(entry["items"] if isinstance(entry, dict) else [entry])
        actions |= {(model._meta.label, name) for name in names}
    return actions


class ActionRowsTestCase(PaidTestCase, ApiTestCase):
    """`rows` has every action of the admin, each with a row on which it can be done. Nothing is allowed to `desk`."""

    client_class: Any = Client  # it speaks as a browser does

    def setUp(self):
        super().setUp()
        paid, *others = self.buy(3), self.buy(1), self.buy(1), self.buy(1)
        self.voucher, self.held, self.used = paid.vouchers
        voucher_services.suspend_vouchers([self.held.pk], actor=self.staff, reason="x")
        self.redeem(self.used)
        # One for each decision: what is undone in the database stays done at Stripe.
        self.requested, self.unwanted, self.approved = (
            Refund.objects.get(pk=self.ask(each).json()["id"]) for each in others
        )
        Refund.objects.filter(pk=self.approved.pk).update(status=RefundStatus.APPROVED)
        failed: Any = Refund.objects.create(
            transaction=paid, amount=1, origin="stripe", status="failed", finished_at=timezone.now()
        )
        batch: Any = make_batch_vouchers(owner=self.customer, quantity=2)[0].batch
        code_request = code_exports.request_code_export(batch=batch, actor=self.staff, reason="x")
        unconfirmed: Any = make_unconfirmed()
        unsold, group = make_type(), Group.objects.create(name="Desk")
        authentication.open_session(user=self.customer)
        session = Session.objects.latest("created_at")
        Email.objects.all().delete()
        mail = Email.objects.create(
            to=["x@example.com"], from_email="y@example.com", subject="x", status=STATUS.failed
        )
        later = (timezone.localdate(self.voucher.expiry_date) + timedelta(days=9)).isoformat()

        def event(voucher: Voucher, kind: str) -> Callable[[], bool]:
            return VoucherEvent.objects.filter(voucher=voucher, kind=kind).exists

        def exported() -> bool:
            return BatchExport.objects.exists()

        def list_exported() -> bool:
            return DataExport.objects.filter(actor__isnull=False).exists()

        def begun(kind: str) -> Callable[[], bool]:
            return BulkOperation.objects.filter(kind=kind).exists

        def operation(**fields: Any) -> Any:
            return BulkOperation.objects.create(
                label="x", actor=self.staff, reason="x", total=0, **{"kind": "x", **fields}
            )

        def refund(chosen: Refund, status: str) -> Callable[[], bool]:
            return Refund.objects.filter(pk=chosen.pk, status=status).exists

        running = operation(subject="x:1")
        stopped = operation(subject="x:2", status="stopped", finished_at=timezone.now())
        as_csv = {"file_type": "csv"}
        opened = {"opened_at": time.time()}
        usage = VoucherUsage.objects.get(voucher=self.used)
        refunded = RefundedVoucher.objects.filter(voucher=self.voucher)
        self.rows = (
            Row("vouchers.Voucher", "extend", "vouchers.extend_voucher", self.voucher,
                event(self.voucher, "extended"), {"until": later}),
            Row("vouchers.Voucher", "suspend", "vouchers.suspend_voucher", self.voucher,
                event(self.voucher, "suspended")),
            Row("vouchers.Voucher", "release", "vouchers.suspend_voucher", self.held,
                event(self.held, "released")),
            Row("vouchers.Voucher", "reissue", "vouchers.reissue_voucher", self.voucher,
                event(self.voucher, "reissued"), opened),
            Row("vouchers.Voucher", "void", "vouchers.void_voucher", self.voucher,
                event(self.voucher, "voided")),
            Row("vouchers.Voucher", "refund", "payments.make_refund", self.voucher, refunded.exists),
            Row("vouchers.Voucher", "export", "vouchers.export_voucher", self.voucher, list_exported, as_csv),
            Row("vouchers.VoucherUsage", "export", "vouchers.export_usage", usage, list_exported, as_csv),
            Row("payments.Transaction", "export", "payments.export_transaction", paid, list_exported, as_csv),
            Row("payments.Refund", "export", "payments.export_refund", self.requested, list_exported, as_csv),
            Row("vouchers.VoucherUsage", "reverse", "vouchers.reverse_usage", usage,
                UsageReversal.objects.exists),
            Row("vouchers.Batch", "export_codes", "vouchers.export_codes", batch, exported),
            Row("vouchers.Batch", "print_sheets", "vouchers.export_codes", batch, exported),
            Row("vouchers.Batch", "hold_vouchers", "vouchers.hold_batch", batch, begun("vouchers.hold_batch")),
            Row("vouchers.Batch", "release_vouchers", "vouchers.hold_batch", batch,
                begun("vouchers.release_batch")),
            Row("vouchers.Batch", "void_vouchers", "vouchers.void_batch", batch, begun("vouchers.void_batch")),
            Row("vouchers.Batch", "reassign_vouchers", "vouchers.reassign_batch", batch,
                begun("vouchers.reassign_batch"), {"new_owner": self.customer.email}),
            Row("core.BulkOperation", "stop", "core.control_bulkoperation", running,
                BulkOperation.objects.filter(pk=running.pk, status="stopped").exists),
            Row("core.BulkOperation", "resume", "core.control_bulkoperation", stopped,
                BulkOperation.objects.filter(pk=stopped.pk, status="queued").exists),
            Row("vouchers.VoucherType", "withdraw", "vouchers.withdraw_vouchertype", unsold,
                begun("payments.hold_service"), {"what": "hold"}),
            Row("payments.Transaction", "print_vouchers", "vouchers.export_codes", paid,
                DataExport.objects.filter(table="Codes of a purchase").exists, {"paper": "a4"}),
            Row("vouchers.CodeExportRequest", "approve", "vouchers.decide_code_export", code_request,
                CodeExportRequest.objects.filter(status="approved").exists),
            Row("vouchers.CodeExportRequest", "reject", "vouchers.decide_code_export", code_request,
                CodeExportRequest.objects.filter(status="rejected").exists),
            Row("vouchers.VoucherType", "delete_selected", "vouchers.delete_vouchertype", unsold,
                lambda: not VoucherType.objects.filter(pk=unsold.pk).exists(), {"post": "yes"}),
            Row("payments.Transaction", "refund_unused", "payments.make_refund", paid, refunded.exists),
            Row("payments.Transaction", "mail_receipt", "payments.resend_receipt", paid,
                Email.objects.filter(subject__contains="Your vouchers").exists),
            Row("payments.Refund", "approve", "payments.decide_refund", self.requested,
                refund(self.requested, "succeeded")),
            Row("payments.Refund", "reject", "payments.decide_refund", self.unwanted,
                refund(self.unwanted, "rejected")),
            Row("payments.Refund", "send_again", "payments.decide_refund", self.approved,
                refund(self.approved, "succeeded")),
            Row("payments.Refund", "acknowledge_failure", "payments.decide_refund", failed,
                Refund.objects.filter(pk=failed.pk, acknowledged_at__isnull=False).exists),
            Row("users.User", "deactivate", "users.change_user", self.customer,
                User.objects.filter(pk=self.customer.pk, is_active=False).exists),
            Row("users.User", "revoke_all_sessions", "users.change_user", self.customer,
                Session.objects.filter(pk=session.pk, ended_at__isnull=False).exists),
            Row("users.User", "send_password_reset", "users.change_user", self.customer,
                Email.objects.filter(to=self.customer.email).exists),
            Row("users.User", "send_confirmation", "users.change_user", unconfirmed,
                Email.objects.filter(to=unconfirmed.email).exists),
            Row("users.User", "confirm_address", "users.change_user", unconfirmed,
                User.objects.filter(pk=unconfirmed.pk, email_confirmed_at__isnull=False).exists),
            Row("authentication.Session", "end", "authentication.change_session", session,
                Session.objects.filter(pk=session.pk, ended_at__isnull=False).exists),
            Row("post_office.Email", "send_again", "post_office.change_email", mail,
                Email.objects.filter(pk=mail.pk, status=STATUS.queued).exists),
            Row("auth.Group", "delete_selected", SUPERUSER, group,
                lambda: not Group.objects.filter(pk=group.pk).exists(), {"post": "yes"}),
        )  # fmt: skip

        self.desk = make_user(is_staff=True)
        self.client.force_login(self.desk)

    def requests_of(self, row: Row) -> tuple[Callable[[], bool], list[Callable[[], Any]]]:
        """How one sees that the action is offered, in every place where it stands, and the requests that do it."""
        model = row.chosen._meta
        screen: Any = admin.site._registry[type(row.chosen)]
        address = f"/admin/{model.app_label}/{model.model_name}/"
        answers = {"reason": "Because", **row.answers}
        offers, requests = [], []
        if row.action in (*(screen.actions or ()), "delete_selected"):
            chosen = {"action": row.action, "_selected_action": [row.chosen.pk], "confirmed": "yes"}
            offers.append((address, f'value="{row.action}"'))
            requests.append(lambda: self.client.post(address, {**chosen, **answers}))
        if row.action in screen._extract_action_names(screen.actions_detail):
            path = f"{address}{row.chosen.pk}/{getattr(screen, row.action).url_path}/"
            offers.append((f"{address}{row.chosen.pk}/change/", f'href="{path}"'))
            requests.append(lambda: self.client.post(path, answers))
        if row.action in screen.actions_list:
            path = f"{address}{getattr(screen, row.action).url_path}/"
            offers.append((address, f'href="{path}"'))
            requests.append(lambda: self.read(self.client.post(path, answers)))
        self.assertTrue(offers, f"{row} stands nowhere")

        def offered() -> bool:
            """Whether it is, everywhere; fails where it is offered in one place and not in the other."""
            [everywhere] = {sign in self.client.get(page).content.decode() for page, sign in offers}
            return everywhere

        return offered, requests

    def read(self, response):
        """The response, after all of it was taken: files are written as they are taken."""
        response.getvalue()
        return response

    @contextmanager
    def undone(self) -> Iterator[None]:
        """What the block does to the database is undone at its end."""
        with transaction.atomic():
            yield
            transaction.set_rollback(True)


@tag("slow", "any-database")
@skipUnless(find_spec("reportlab"), "comes with requirements.txt")
class AdminActionsTests(ActionRowsTestCase):
    def test_every_action_has_a_row(self):
        self.assertEqual({(row.model, row.action) for row in self.rows}, actions_in_the_admin())
        for row in self.rows:
            self.assertEqual(row.chosen._meta.label, row.model)

    def test_with_all_permissions_but_its_own_it_is_not_offered_and_refused(self):
        for row in self.rows:
            others = [each for each in Permission.objects.select_related("content_type")
                      if f"{each.content_type.app_label}.{each.codename}" != row.permission]  # fmt: skip
            with self.subTest(f"{row}"), self.undone():
                self.desk.user_permissions.set(others)
                offered, requests = self.requests_of(row)
                self.assertFalse(offered())
                for send in requests:
                    self.assertIn(send().status_code, (200, 302, 403))
                    self.assertFalse(row.done())

    def test_with_its_own_alone_it_is_offered_and_done(self):
        view = {each.codename: each for each in Permission.objects.filter(codename__startswith="view_")}
        for row in self.rows:
            for way in range(len(self.requests_of(row)[1])):
                with self.subTest(f"{row}", way=way), self.undone():
                    app, _, codename = row.permission.partition(".")
                    own = Permission.objects.filter(content_type__app_label=app, codename=codename)
                    self.desk.user_permissions.set([view[f"view_{row.chosen._meta.model_name}"], *own])
                    User.objects.filter(pk=self.desk.pk).update(is_superuser=row.permission == SUPERUSER)
                    offered, requests = self.requests_of(row)
                    self.assertTrue(offered())
                    self.assertFalse(row.done())
                    self.assertIn(requests[way]().status_code, (200, 302))
                    self.assertTrue(row.done())
