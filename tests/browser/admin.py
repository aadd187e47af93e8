"""Rows and addresses of the back office, for a look at all of its screens."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone
from post_office.models import STATUS, Email

from apps.authentication import services as authentication
from apps.authentication.models import Session
from apps.core.models import BulkOperation, DataExport, JobResult
from apps.payments.models import Dispute, Refund, StripeEvent, Transaction
from apps.payments.tests.factories import make_completed_transaction
from apps.users.models import User
from apps.users.tests.factories import make_customer, make_staff
from apps.vouchers import services
from apps.vouchers.models import Batch, CodeExportRequest, Voucher, VoucherEvent, VoucherType, VoucherUsage
from apps.vouchers.services import code_exports
from apps.vouchers.tests.factories import make_batch_vouchers, make_type, make_usage


class BackOffice:
    """A few rows of everything that the back office shows, and all of its screens."""

    def __init__(self) -> None:
        self.staff = make_staff()
        carla = make_customer()
        kind = make_type(name="Exam results checking", max_uses=3)
        paid = make_completed_transaction(user=carla, voucher_type=kind, quantity=3)
        first, second, _ = paid.vouchers
        usage = make_usage(code=first.code, user=carla)
        services.suspend_vouchers([second.pk], actor=self.staff, reason="The card was reported as stolen")
        request = Refund.objects.create(transaction=paid, amount=10, origin="buyer", status="requested")
        Refund.objects.create(
            transaction=paid, amount=10, origin="stripe", status="failed", finished_at=timezone.now()
        )
        dispute = Dispute.objects.create(
            transaction=paid,
            amount=30,
            reason="product_not_received",
            stripe_dispute_id="dp_1",
            stripe_status="needs_response",
            opened_at=timezone.now(),
            respond_by=timezone.now() + timedelta(days=3),
        )
        batch: Any = make_batch_vouchers(owner=carla, quantity=2)[0].batch
        authentication.open_session(user=carla)
        now = timezone.now()
        self.unsold_type = make_type(name="Not on sale yet")  # what was sold has no page to delete it
        # The row of each model whose pages are looked at.
        self.rows: dict[type[Any], Any] = {
            Batch: batch,
            BulkOperation: BulkOperation.objects.create(
                kind="x", subject="x:1", label="Hold the batch", actor=self.staff, reason="Lost", total=9
            ),
            CodeExportRequest: code_exports.request_code_export(
                batch=batch, actor=carla, reason="For the school in Kumasi"
            ),
            DataExport: DataExport.objects.create(
                table="vouchers", file_type="csv", actor=self.staff, rows=3
            ),
            Dispute: dispute,
            Email: Email.objects.create(
                to=[carla.email], from_email="x@example.com", subject="Your vouchers", status=STATUS.failed
            ),
            Group: Group.objects.create(name="Night desk"),
            JobResult: JobResult.objects.create(
                name="audit",
                finished_at=now,
                next_due_at=now,
                problems=2,
                complete=True,
                details=["One", "Two"],
            ),
            Refund: request,
            Session: Session.objects.latest("created_at"),
            StripeEvent: StripeEvent.objects.create(
                stripe_id="evt_1", type="charge.refunded", object_id="pi_1"
            ),
            Transaction: paid,
            User: carla,
            Voucher: second,
            VoucherEvent: VoucherEvent.objects.latest("pk"),
            VoucherType: kind,
            VoucherUsage: usage,
        }

    def screens(self) -> Iterator[str]:
        """The address of every screen that a superuser sees: single pages; then list, forms, page, history and
        actions of each model."""
        request: Any = RequestFactory().get("/admin/")
        request.user = self.staff
        for name in (
            "admin:index",
            "admin-search",
            "admin-revenue",
            "admin-revenue-export",
            "admin:payments_approvals",
        ):
            yield reverse(name)
        yield reverse("admin:password_change")
        yield f"{reverse('admin:vouchers_voucher_changelist')}?q=nothing-has-this"
        yield f"{reverse('admin-search')}?q={self.rows[User].email}"
        yield reverse("admin:app_list", args=("vouchers",))
        yield reverse("admin:auth_user_password_change", args=(self.rows[User].pk,))
        registered: dict[Any, Any] = admin.site._registry
        for model, screen in registered.items():
            name, row = f"admin:{model._meta.app_label}_{model._meta.model_name}", self.rows[model]
            yield reverse(f"{name}_changelist")
            if screen.has_add_permission(request):
                yield reverse(f"{name}_add")
            if screen.has_delete_permission(request):
                deleted = self.unsold_type if model is VoucherType else row
                yield reverse(f"{name}_delete", args=(deleted.pk,))
            for view in ("change", "history"):
                yield reverse(f"{name}_{view}", args=(row.pk,))
            for place, arguments in (("actions_list", ()), ("actions_detail", (row.pk,))):
                for action in screen._extract_action_names(getattr(screen, place)):
                    yield reverse(f"{name}_{action}", args=arguments)
