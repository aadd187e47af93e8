"""Changing all vouchers of a batch, for staff: hold, release, void, or give them to another owner."""

from typing import Any, ClassVar, Final

from django import forms
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminEmailInputWidget

from apps.core.backoffice.addresses import link, list_address
from apps.core.backoffice.bulk_operations import DryRun, ask_and_start
from apps.core.backoffice.confirmed_actions import ReasonForm
from apps.core.backoffice.counting import is_row_number
from apps.core.backoffice.filters import ChoiceFilter
from apps.core.backoffice.second_factor import ask_fresh_proof
from apps.core.models import BulkOperation
from apps.core.money import format_amount
from apps.users.current_user import current_user
from apps.users.models import User
from apps.vouchers.backoffice.code_exports import ask_for_approval
from apps.vouchers.models import Batch, Voucher
from apps.vouchers.services import batch_changes
from apps.vouchers.services.batch_changes import BatchChange, Outcome
from apps.vouchers.states import VoucherStatus

TO_CHANGE: Final = {
    BatchChange.HOLD: "To hold",
    BatchChange.RELEASE: "To release",
    BatchChange.VOID: "To void",
    BatchChange.REASSIGN: "To give to the new owner, at most",
}


class NewOwnerForm(ReasonForm):
    new_owner = forms.EmailField(
        label="New owner",
        widget=UnfoldAdminEmailInputWidget,
        help_text="The e-mail address of an active account. It has the vouchers, and reads their codes, from then on.",
    )
    field_order = ("new_owner", "reason")

    def clean_new_owner(self) -> User:
        owner = User.objects.filter(email=self.cleaned_data["new_owner"], is_active=True).first()
        if owner is None:
            raise forms.ValidationError("There is no active account with this address.", code="unknown")
        return owner


class ChangesBatch(ModelAdmin):
    """The actions of the page of a batch that change its vouchers, in the background."""

    batch_changes: ClassVar = {
        "title": "All vouchers",
        "icon": "inventory_2",
        "items": ["hold_vouchers", "release_vouchers", "void_vouchers", "reassign_vouchers"],
    }

    def has_hold_batch_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(BatchChange.HOLD.permission)

    def has_release_batch_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(BatchChange.RELEASE.permission)

    def has_void_batch_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(BatchChange.VOID.permission)

    def has_reassign_batch_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(BatchChange.REASSIGN.permission)

    @action(
        description="Hold",
        url_path="hold-vouchers",
        permissions=["view", "hold_batch"],
        icon="pause_circle",
    )
    def hold_vouchers(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks on GET, with a dry run; on POST starts to suspend all vouchers of the batch."""
        return self._change_batch(
            request,
            object_id,
            BatchChange.HOLD,
            "Hold all vouchers",
            "What is held can't be redeemed until staff release it, with the batch or by itself.",
        )

    @action(
        description="Release",
        url_path="release-vouchers",
        permissions=["view", "release_batch"],
        icon="play_circle",
    )
    def release_vouchers(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks on GET, with a dry run; on POST starts to release what was held with the batch."""
        return self._change_batch(
            request,
            object_id,
            BatchChange.RELEASE,
            "Release all vouchers",
            "Ends the hold on the batch. What staff suspended by itself stays so, as do holds of withdrawn services.",
        )

    @action(
        description="Void",
        url_path="void-vouchers",
        permissions=["view", "void_batch"],
        icon="block",
        variant=ActionVariant.DANGER,
    )
    def void_vouchers(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks on GET, with a dry run; on POST starts to void all vouchers of the batch."""
        return self._change_batch(
            request,
            object_id,
            BatchChange.VOID,
            "Void all vouchers",
            "For good: nobody can make what is void work again. Hold them if they may be needed.",
            danger=True,
        )

    @action(
        description="Change owner",
        url_path="reassign-vouchers",
        permissions=["view", "reassign_batch"],
        icon="move_item",
    )
    def reassign_vouchers(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks on GET, with a dry run; on POST starts to give all vouchers of the batch to another owner."""
        if (page := ask_fresh_proof(request)) is not None:  # who then reads the codes
            return page
        return self._change_batch(
            request,
            object_id,
            BatchChange.REASSIGN,
            "Change the owner of all vouchers",
            "Codes stay as they are: whoever has them on paper can still use them. The batch goes on telling to whom it"
            " was issued.",
            form_class=NewOwnerForm,
        )

    def _change_batch(
        self,
        request: HttpRequest,
        object_id: str,
        change: BatchChange,
        title: str,
        effect: str,
        *,
        form_class: type[ReasonForm] = ReasonForm,
        danger: bool = False,
    ) -> HttpResponse:
        batch: Batch | None = self.get_object(request, object_id)
        if batch is None:
            missing: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return missing
        reveals = change == BatchChange.REASSIGN  # who has the vouchers reads the codes, as of a file
        if reveals and (page := ask_for_approval(self, request, batch, title)) is not None:
            return page

        def start(form_data: dict[str, Any]) -> BulkOperation:
            return batch_changes.start(change, batch, actor=current_user(request), **form_data)

        return ask_and_start(
            self,
            request,
            batch,
            title=title,
            effect=effect,
            dry_run=_dry_run(change, batch),
            form=form_class(request.POST if request.method == "POST" else None),
            start=start,
            danger=danger,
        )


def _dry_run(change: BatchChange, batch: Batch) -> DryRun:
    plan = batch_changes.plan(change, batch)
    changed = plan.counts[Outcome.CHANGED]
    figures = [("Vouchers in the batch", f"{plan.issued:,}"), (TO_CHANGE[change], f"{changed:,}")]
    if batch.face_value:
        figures.append(
            ("What these were issued for", format_amount(changed * batch.face_value, batch.currency))
        )
    figures += [
        (str(outcome.label), f"{number:,}")
        for outcome, number in plan.counts.items()
        if outcome != Outcome.CHANGED and (number or outcome in (Outcome.USED_UP, Outcome.VOIDED))
    ]
    notes = []
    if batch.completed_at is None:
        notes.append(
            f"{batch.quantity - plan.issued:,} vouchers of the batch are not issued yet: do it again once they are."
        )
    return DryRun(figures, notes, is_empty=changed == 0)


def voucher_list(batch: Batch, number: int, status: VoucherStatus | None = None) -> str:
    """A number of the batch's vouchers, as a link to the list of them."""
    query = f"batch={batch.pk}" + (f"&status={status.value}" if status else "")
    return link(f"{list_address(Voucher)}?{query}", f"{number:,}")


class BatchFilter(ChoiceFilter):
    """The vouchers of one batch: the page of a batch leads here. No list of all batches to choose from."""

    title = "batch"
    parameter_name = "batch"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        number = self.used_parameters.get(self.parameter_name, "")
        return [(number, f"Batch {number}")] if number else []

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        number = self.value()
        if not number:
            return queryset
        return queryset.filter(batch=int(number)) if is_row_number(number) else queryset.none()
