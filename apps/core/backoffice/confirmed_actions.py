"""Actions of the admin that ask first: for which rows, and why; then they call a service, case by case.

On a list they are chosen for several rows, on the page of a row they are a button. A GET shows the form and does
nothing. Each needs a permission of its own: without it nobody sees it, and whoever asks for it gets a 403.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.core.backoffice.read_only import is_row_number
from apps.core.errors import DomainError
from apps.core.logs import redact

log = logging.getLogger(__name__)

MAX_ROWS: Final = 100
MAX_REASON_LENGTH: Final = 500
NOTHING: Final = "Nothing to do"
BUSY: Final = "The database is busy. See in a moment whether it was done, and if not, try again."
MAX_LISTED: Final = 20  # rows that a page or a message names; of the others it tells how many


class ReasonForm(forms.Form):
    """Why it is done. A code in full that somebody writes into it is masked: the reason is shown to others."""

    reason = forms.CharField(
        max_length=MAX_REASON_LENGTH,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="It stays in the history, which the owner reads too.",
    )

    def clean_reason(self) -> str:
        return redact(self.cleaned_data["reason"])


class ConfirmOnlyForm(forms.Form):
    """For what needs a yes and no more."""


@dataclass(frozen=True)
class ActionTarget:
    """What one call of a service is about: one row, or several that go together; and how people name it."""

    rows: list[Any]
    shown: str


def one_target_per_row(rows: Iterable[Any]) -> list[ActionTarget]:
    return [ActionTarget([row], str(row)) for row in rows]


def confirmed_action(
    *,
    permission: str,
    description: str,
    done: str,
    about: str = "",
    form: type[forms.Form] = ReasonForm,
    cases: Callable[[Iterable[Any]], list[ActionTarget]] = one_target_per_row,
    at_once: int = MAX_ROWS,
    variant: ActionVariant = ActionVariant.DEFAULT,
    icon: str | None = None,
) -> Callable[[Callable[..., bool | str]], Any]:
    """Make an action of a method `(self, request, rows, given)`, for `actions` and `actions_detail`
    of ConfirmedActionsAdmin.

    The method gets the rows of one case and what the form has; it calls one service, and returns whether that
    changed anything, or in a word what came of it. A DomainError of one case is told to the staff, and the other
    cases go on. `permission` is "app.codename", `done` the word for what came of it, and `about` tells what it does.
    """

    def decorate(act: Callable[..., bool | str]) -> Any:
        @wraps(act)
        def action(
            self: ConfirmedActionsAdmin,
            request: HttpRequest,
            queryset: QuerySet[Any] | None = None,
            *,
            object_id: str | None = None,
        ) -> HttpResponse | None:
            if not (self.has_view_permission(request) and self.may(request, action)):
                raise PermissionDenied
            if object_id is not None:
                row = self.get_object(request, unquote(object_id))
                if row is None:
                    missing: HttpResponse = self._get_obj_does_not_exist_redirect(
                        request, self.opts, object_id
                    )
                    return missing
                sent, rows = request.method == "POST", [row]
            else:
                assert queryset is not None
                sent, rows = CONFIRMED in request.POST, list(queryset[: at_once + 1])
                if len(rows) > at_once:
                    messages.error(request, f"At most {at_once} at once. Nothing was done.")
                    return None
            given = form(request.POST if sent else None)
            if sent and given.is_valid():
                self.carry_out(request, action, cases(rows), given.cleaned_data)
                return HttpResponseRedirect(self.redeem_url(rows[0])) if object_id is not None else None
            return self.ask(request, action, rows, given, single=object_id is not None)

        action.act, action.done, action.about, action.cases = act, done, about, cases  # type: ignore[attr-defined]
        action.permission = permission  # type: ignore[attr-defined]
        action.short_description = description  # type: ignore[attr-defined]
        action.url_path = act.__name__.replace("_", "-")  # type: ignore[attr-defined]
        action.icon, action.variant, action.attrs = icon, variant, {}  # type: ignore[attr-defined]
        return action

    return decorate


CONFIRMED: Final = "confirmed"


class ConfirmedActionsAdmin(ModelAdmin):
    """A screen with actions that ask first (`confirmed_action`)."""

    def may(self, request: HttpRequest, action: Any) -> bool:
        """Whether who asks has the action's permission."""
        permission = getattr(action, "permission", None)
        return permission is None or request.user.has_perm(permission)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        return {name: found for name, found in actions.items() if self.may(request, found[0])}

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        actions: list[Any] = super().get_actions_detail(request, object_id)
        return [found for found in actions if self.may(request, found.method)]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Refuses what nobody comes to by the page: an action that it does not offer them, numbers that are none."""
        if request.method == "POST":
            for name in request.POST.getlist("action"):
                if name in (self.actions or ()) and not self.may(request, getattr(self, name)):
                    raise PermissionDenied
            chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
            if not all(map(is_row_number, chosen)):
                raise BadRequest("No such rows")
        response: HttpResponse = super().changelist_view(request, extra_context)
        return response

    def redeem_url(self, row: Any) -> str:
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
        return reverse(name, args=(row.pk,))

    def ask(
        self, request: HttpRequest, action: Any, rows: list[Any], form: forms.Form, *, single: bool
    ) -> HttpResponse:
        """The page that asks for confirmation and reason."""
        cases = action.cases(rows)
        hidden: list[tuple[str, Any]] = []
        if not single:
            hidden = [("action", action.__name__), *((ACTION_CHECKBOX_NAME, row.pk) for row in rows)]
        names = self.opts.verbose_name if len(rows) == 1 else self.opts.verbose_name_plural
        context = {
            **self.admin_site.each_context(request),
            "title": action.short_description,
            "opts": self.opts,
            "original": rows[0] if single else None,
            "about": action.about,
            "chosen": f"{len(rows)} {names}",
            "cases": cases[:MAX_LISTED],
            "more": max(0, len(cases) - MAX_LISTED),
            "form": form,
            "danger": action.variant is ActionVariant.DANGER,
            "hidden": hidden,
            # The address itself may hold a code that was searched for; what is left in GET does not.
            "back": self.redeem_url(rows[0]) if single else f"{request.path}?{request.GET.urlencode()}",
        }
        return TemplateResponse(request, "core/confirmed_action.html", context)

    def carry_out(
        self, request: HttpRequest, action: Any, cases: list[ActionTarget], given: dict[str, Any]
    ) -> None:
        """Do it, case by case, each in a transaction of its own; tell what came of it."""
        changed: Counter[str] = Counter()
        refused = defaultdict(list)
        for case in cases:
            try:
                did = action.act(self, request, case.rows, given)
            except DomainError as error:
                refused[error.detail].append(case.shown)
                continue
            except OperationalError:
                log.exception("The database did not carry out %s", action.__name__)
                refused[BUSY].append(case.shown)
                continue
            word = action.done if did is True else did or NOTHING
            changed[word] += len(case.rows)
            if did:
                for row in case.rows:
                    self.log_change(request, row, ": ".join(filter(None, (word, given.get("reason")))))
        for detail, names in refused.items():
            more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
            messages.error(request, f"{', '.join(names[:MAX_LISTED])}{more}: {detail}")
        for word, rows in changed.items():
            tell = messages.warning if word == NOTHING else messages.success
            tell(request, f"{word}: {rows}.")
