"""Actions of the admin that ask first: for which rows, and why; then they call a service, target by target.

On a list they are chosen for several rows, on the page of a row they are a button. A GET shows the form and does
nothing. Each needs a permission of its own: without it nobody sees it, and whoever asks for it gets a 403.
"""

import logging
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MethodType
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html_join
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.core.backoffice.addresses import link, page_address, row_address
from apps.core.backoffice.counting import is_row_number
from apps.core.backoffice.lists import BoundedAdmin
from apps.core.backoffice.pages import page_cache
from apps.core.backoffice.second_factor import ask_fresh_proof
from apps.core.errors import DomainError
from apps.core.logs import redact

log = logging.getLogger(__name__)

MAX_ROWS: Final = 100
MAX_REASON_LENGTH: Final = 500
NOTHING: Final = "Nothing to do"
BUSY: Final = "The database is busy. See in a moment whether it was done, and if not, try again."
MAX_LISTED: Final = 20  # rows that a page or a message names; of the others it tells how many
CONFIRMED: Final = "confirmed"  # the hidden field by which a form of a list says that it is the form


class ReasonForm(forms.Form):
    """Why it is done. A code in full that somebody writes into it is masked: the reason is shown to others.

    A form with a method `check_row` says by it, beside its fields, what would be refused of the row of a page.
    """

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
    label: str


def one_target_per_row(rows: Iterable[Any]) -> list[ActionTarget]:
    return [ActionTarget([row], str(row)) for row in rows]


@dataclass(frozen=True)
class PartlyDone:
    """What came of a call for several targets: the rows that changed, and why others were refused, by their numbers."""

    changed: list[Any]
    refused: Mapping[Any, DomainError] = field(default_factory=dict)


@dataclass(frozen=True)
class ConfirmedAction:
    """An action of a ConfirmedActionsAdmin, for its `actions` and `actions_detail`; made by `confirmed_action`.

    Targets of which `together` says the same of their first rows are for one call: those of one person, who then gets
    one mail. One with `fresh_proof` is for who has proved lately that it is they who sit there (second_factor.py).
    `applies` says of a row, and of who looks at it, whether its page offers the action: it spares a form that the
    service would refuse, and is no guard. Like a method it is bound to the screen of which it is an attribute.
    `short_description`, `url_path`, `attrs`, `icon` and `variant` have the names by which Django and unfold look for
    them.
    """

    name: str
    perform: Callable[[Any, HttpRequest, list[Any], dict[str, Any]], bool | str | PartlyDone]
    permission: str
    short_description: str
    done: str
    effect: str = ""
    form: type[forms.Form] = ReasonForm
    targets: Callable[[Iterable[Any]], list[ActionTarget]] = one_target_per_row
    together: Callable[[Any], Any] | None = None
    applies: Callable[[Any, Any], bool] = lambda row, user: True
    max_rows: int = MAX_ROWS
    fresh_proof: bool = False
    variant: ActionVariant = ActionVariant.DEFAULT
    icon: str | None = None
    attrs: dict[str, str] = field(default_factory=dict)

    @property
    def url_path(self) -> str:
        return self.name.replace("_", "-")

    def __get__(self, screen: "ConfirmedActionsAdmin | None", owner: type | None = None) -> Any:
        return self if screen is None else MethodType(self, screen)

    def __call__(
        self,
        screen: "ConfirmedActionsAdmin",
        request: HttpRequest,
        queryset: QuerySet[Any] | None = None,
        *,
        object_id: str | None = None,
    ) -> HttpResponse | None:
        """Django calls it with the rows chosen on the list, unfold with the number of the page's row."""
        if queryset is not None:
            return screen.bulk_view(request, self, queryset)
        assert object_id is not None
        return screen.single_view(request, self, object_id)


def confirmed_action(
    *, permission: str, description: str, done: str, **options: Any
) -> Callable[[Callable[..., bool | str | PartlyDone]], ConfirmedAction]:
    """Make a ConfirmedAction of a method `(self, request, rows, form_data)`.

    The method gets the rows of one target and what the form has; it calls one service, and returns whether that
    changed anything, or in a word what came of it, or PartlyDone. The staff read a DomainError of one target, and the
    other targets go on. `permission` is "app.codename", `done` the word for what came of it. The options are fields of
    ConfirmedAction; `effect` says what the action does.
    """

    def decorate(perform: Callable[..., bool | str | PartlyDone]) -> ConfirmedAction:
        return ConfirmedAction(
            name=perform.__name__,
            perform=perform,
            permission=permission,
            short_description=description,
            done=done,
            **options,
        )

    return decorate


class ConfirmedActionsAdmin(BoundedAdmin):
    """A screen with actions that ask first (`confirmed_action`).

    Those in `actions_in_rows` stand as links in the column `next_step` of the list too, where they apply.
    """

    actions_in_rows: tuple[str, ...] = ()

    def prepare_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        super().prepare_rows(request, rows)
        offered = [getattr(self, name) for name in self.actions_in_rows]
        offered = [action for action in offered if self.may(request, action)]
        for row in rows:
            row.next_steps = [action for action in offered if action.applies(row, request.user)]

    @admin.display(description="next step")
    def next_step(self, row: Any) -> str:
        """Links to the forms of what can be done to a row now."""
        links = (
            link(page_address(row, each.name, row.pk), each.short_description) for each in row.next_steps
        )
        return format_html_join(" · ", "{}", ((each,) for each in links))

    def may(self, request: HttpRequest, action: Any) -> bool:
        """Whether the user has the action's permission. Django's own actions look after theirs."""
        permission = getattr(action, "permission", None)
        return permission is None or request.user.has_perm(permission)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        return {name: entry for name, entry in actions.items() if self.may(request, entry[0])}

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        actions: list[Any] = super().get_actions_detail(request, object_id)
        allowed = [action for action in actions if self.may(request, action.method)]
        if not any(hasattr(action.method, "applies") for action in allowed):
            return allowed
        row = self.get_object(request, unquote(str(object_id)))
        if row is None:
            return []
        return [action for action in allowed if _applies(action.method, row, request.user)]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The row of a page, read once for a page that is only shown: for its buttons, and for itself."""
        rows = page_cache(request, "_rows_shown")
        key = (self.model, object_id, from_field)
        if key not in rows:
            rows[key] = super().get_object(request, object_id, from_field)
        return rows[key]

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

    def bulk_view(
        self, request: HttpRequest, action: ConfirmedAction, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        """The action for rows chosen on the list: asks, and performs it once confirmed. None shows the list again."""
        self._require_permission(request, action)
        if action.fresh_proof and (page := ask_fresh_proof(request)) is not None:
            return page
        rows = list(queryset[: action.max_rows + 1])
        if len(rows) > action.max_rows:
            messages.error(request, f"At most {action.max_rows} at once. Nothing was done.")
            return None
        form = action.form(request.POST if CONFIRMED in request.POST else None)
        if form.is_valid():
            self._perform(request, action, rows, form.cleaned_data)
            return None
        hidden = [("action", action.name), *((ACTION_CHECKBOX_NAME, row.pk) for row in rows)]
        # The address itself may hold a code that was searched for; what is left in GET does not.
        back = f"{request.path}?{request.GET.urlencode()}"
        return self._confirmation_page(request, action, rows, form, hidden=hidden, back=back)

    def single_view(self, request: HttpRequest, action: ConfirmedAction, object_id: str) -> HttpResponse:
        """The action for the row of a page: asks on GET, performs it on POST and goes back to the page."""
        self._require_permission(request, action)
        if action.fresh_proof and (page := ask_fresh_proof(request)) is not None:
            return page
        row = self.get_object(request, unquote(object_id))
        if row is None:
            missing: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return missing
        form = action.form(request.POST if request.method == "POST" else None)
        if form.is_valid() and hasattr(form, "check_row"):
            form.check_row(row)
        if form.is_valid():
            self._perform(request, action, [row], form.cleaned_data)
            return HttpResponseRedirect(row_address(row))
        return self._confirmation_page(request, action, [row], form, original=row, back=row_address(row))

    def _require_permission(self, request: HttpRequest, action: ConfirmedAction) -> None:
        if not (self.has_view_permission(request) and self.may(request, action)):
            raise PermissionDenied

    def _confirmation_page(
        self,
        request: HttpRequest,
        action: ConfirmedAction,
        rows: list[Any],
        form: forms.Form,
        *,
        back: str,
        hidden: Iterable[tuple[str, Any]] = (),
        original: Any = None,
    ) -> HttpResponse:
        """The page that asks for confirmation and reason."""
        targets = action.targets(rows)
        names = self.opts.verbose_name if len(rows) == 1 else self.opts.verbose_name_plural
        context = {
            **self.admin_site.each_context(request),
            "title": action.short_description,
            "opts": self.opts,
            "original": original,
            "effect": action.effect,
            "chosen": f"{len(rows)} {names}",
            "targets": targets[:MAX_LISTED],
            "more": max(0, len(targets) - MAX_LISTED),
            "form": form,
            "danger": action.variant is ActionVariant.DANGER,
            "hidden": hidden,
            "back": back,
        }
        return TemplateResponse(request, "core/confirmed_action.html", context)

    def _perform(
        self, request: HttpRequest, action: ConfirmedAction, rows: list[Any], form_data: dict[str, Any]
    ) -> None:
        """Do it, call by call, each in a transaction of its own; the messages say what came of it.

        Targets that go together are tried one by one where a row among them is busy: the others are done all the same.
        """
        changed: Counter[str] = Counter()
        refused: dict[str, list[str]] = defaultdict(list)
        calls = deque(_calls(action, rows))
        while calls:
            targets = calls.popleft()
            labels = {row.pk: target.label for target in targets for row in target.rows}
            concerned = [row for target in targets for row in target.rows]
            try:
                result = action.perform(self, request, concerned, form_data)
            except DomainError as error:
                refused[error.detail] += [target.label for target in targets]
                continue
            except OperationalError:
                log.exception("The database did not carry out %s", action.name)
                if len(targets) > 1:
                    calls.extend([target] for target in targets)
                else:
                    refused[BUSY].append(targets[0].label)
                continue
            word = result if isinstance(result, str) and result else action.done
            done = concerned if result else []
            if isinstance(result, PartlyDone):
                done = result.changed
                for number, why in result.refused.items():
                    refused[why.detail].append(labels.pop(number))
            changed[word] += len(done)
            changed[NOTHING] += len(labels) - len(done)
            for row in done:
                self.log_change(request, row, ": ".join(filter(None, (word, form_data.get("reason")))))
        for detail, names in refused.items():
            more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
            messages.error(request, f"{', '.join(names[:MAX_LISTED])}{more}: {detail}")
        for word, count in (+changed).items():
            add_message = messages.warning if word == NOTHING else messages.success
            add_message(request, f"{word}: {count}.")


def _calls(action: ConfirmedAction, rows: list[Any]) -> list[list[ActionTarget]]:
    """The targets of an action, by the calls that they are for."""
    targets = action.targets(rows)
    if action.together is None:
        return [[target] for target in targets]
    calls: dict[Any, list[ActionTarget]] = defaultdict(list)
    for target in targets:
        calls[action.together(target.rows[0])].append(target)
    return list(calls.values())


def _applies(action: Any, row: Any, user: Any) -> bool:
    """Whether a page offers the action for its row. Actions that are none of `confirmed_action` say nothing of rows."""
    return not hasattr(action, "applies") or action.applies(row, user)
