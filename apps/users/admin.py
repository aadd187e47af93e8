"""People, for staff: found by name or address, deactivated rather than deleted."""

import re
from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.admin import StackedInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from apps.core import mail
from apps.core.backoffice.counting import is_row_number
from apps.core.backoffice.extensible import ExtensibleAdmin
from apps.core.backoffice.filters import DayRangeFilter
from apps.core.backoffice.lists import BoundedAdmin
from apps.core.backoffice.pages import PageAdmin, page_cache
from apps.core.backoffice.read_only import LogsEachRow
from apps.core.backoffice.search import MOST_HITS, Finder, Hit, register
from apps.core.backoffice.second_factor import ask_fresh_proof
from apps.core.languages import Language

from . import email_changes, email_confirmation, services
from .current_user import current_user
from .models import User, UserProfile
from .permissions import MANAGE_STAFF, accounts_with_more_rights, grantable_groups

YEAR_OR_LESS: Final = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)
POWERS = ("is_staff", "is_superuser", "groups", "user_permissions")
# What is changed with a fresh proof only. Links for a new password go to the address, so it opens the account.
PROVED = (*POWERS, "email")


class ProfileInline(StackedInline):
    model = UserProfile
    can_delete = False
    readonly_fields = ("profile_picture",)  # uploads are checked and encoded anew in the API only


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ExtensibleAdmin, BoundedAdmin):  # type: ignore[misc]
    keeps_log = True
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("email", "full_name", "is_active", "is_staff", "date_joined")
    list_filter = ("is_active", "is_staff", "groups", ("date_joined", DayRangeFilter))
    search_fields = ("email", "first_name", "last_name")
    ordering = ("-date_joined", "-id")
    actions: tuple[str, ...] = ("deactivate", "send_confirmation", "confirm_address")
    readonly_fields = ("email_confirmed_at", "last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("email", "password", "first_name", "last_name", "language")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("History", {"fields": ("email_confirmed_at", "last_login", "date_joined")}),
    )
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": (
                    "email",
                    "first_name",
                    "last_name",
                    "language",
                    "usable_password",
                    "password1",
                    "password2",
                ),
            },
        ),
    )

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """No year, month or day that does not exist: the database would get it in a query."""
        if {"year", "month", "day"} & set(lookup.split("__")) and not YEAR_OR_LESS.fullmatch(str(value)):
            return False
        return bool(super().lookup_allowed(lookup, value, request))

    def get_inlines(self, request: HttpRequest, obj: User | None) -> list[Any]:
        """None while adding: the profile comes with the user."""
        return [ProfileInline] if obj else []

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Who may manage staff makes others staff and chooses their groups; other powers are for superusers to give.

        One's own address is for a colleague to change: links for a new password go there. That of staff is for
        superusers, as whoever gets these links has their rights.
        """
        fields = tuple(super().get_readonly_fields(request, obj))
        if request.user.is_superuser:
            return (*fields, "email") if obj == request.user else fields
        if obj is not None and obj.is_staff:
            fields += ("email",)
        if obj == request.user or not request.user.has_perm(MANAGE_STAFF):
            return fields + POWERS
        return (*fields, "is_superuser", "user_permissions")

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """A form from before there was a language leaves it as it is."""
        if db_field.name == "language":
            options["required"] = False
        return super().formfield_for_choice_field(db_field, request, **options)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """Nobody gives a group that may do more than they do themselves."""
        if db_field.name == "groups":
            options["queryset"] = grantable_groups(current_user(request))
        return super().formfield_for_manytomany(db_field, request, **options)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """One's own password is changed on the page that asks for the old one, that of staff by a link in a mail."""
        user = self.get_object(request, unquote(id))
        if user == request.user:
            return redirect("admin:password_change")
        if user is not None and user.is_staff and not request.user.is_superuser:
            raise PermissionDenied
        if (page := ask_fresh_proof(request)) is not None:  # who sets it can sign in with it
            return page
        response: HttpResponse = super().user_change_password(request, id, form_url)
        return response

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Nobody changes an account that may do more than they do, nor other staff unless they may manage staff.

        A closed account stays closed and nobody's, also for a page that was opened before.
        """
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and (obj is None or not (obj.is_closed or self._is_out_of_reach(request, obj)))

    def _is_out_of_reach(self, request: HttpRequest, user: User) -> bool:
        """Whether this member of staff may not touch a user; looked up once for a page that is only shown."""
        known: dict[int, bool] = page_cache(request, "_users_out_of_reach")
        if user.pk not in known:
            known[user.pk] = self.out_of_reach(request).filter(pk=user.pk).exists()
        return known[user.pk]

    @staticmethod
    def out_of_reach(request: HttpRequest) -> QuerySet[User]:
        """Whom this member of staff may not touch: who has more rights, and without `manage_staff` all other staff."""
        actor = current_user(request)
        others = accounts_with_more_rights(actor)
        if actor.has_perm(MANAGE_STAFF):
            return others
        return others | User.objects.filter(is_staff=True).exclude(pk=actor.pk)

    def within_reach(self, request: HttpRequest, queryset: QuerySet[User]) -> list[User]:
        """The chosen users whom this member of staff may touch; says how many others there are."""
        chosen = list(queryset.exclude(pk__in=self.out_of_reach(request)))
        if left_out := queryset.count() - len(chosen):
            messages.error(
                request,
                f"They may do more than you, or you may not change staff. Left as they are: {left_out}.",
            )
        return chosen

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        """Who changes the rights or the address of others proves first that it is they who sit there."""
        needs_proof = request.method == "POST" and object_id and self._needs_proof(request, object_id)
        if needs_proof and (page := ask_fresh_proof(request)) is not None:
            return page
        response: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
        return response

    def _needs_proof(self, request: HttpRequest, object_id: str) -> bool:
        """Whether what was sent has other rights for the user than they have now, or another address."""
        user = self.get_object(request, unquote(object_id))
        if user is None or not self.has_change_permission(request, user):
            return False
        form = self.get_form(request, user, change=True)(request.POST, instance=user)
        return not set(PROVED).isdisjoint(form.changed_data)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """A new address is to be confirmed, and the old one gets a note.

        Mail to an address that is theirs no more goes with it: it holds links to this account.
        """
        obj.language = obj.language or Language.EN
        if not change:
            super().save_model(request, obj, form, change)
            email_confirmation.send_link(obj)
            return
        stored = User.objects.select_for_update().get(pk=obj.pk)
        if stored.is_closed:  # since this request began: all fields are written, also what was erased
            raise PermissionDenied
        changes_email = "email" in form.changed_data
        # Of what is written, this may be newer than what the form was filled from.
        obj.sessions_epoch = stored.sessions_epoch
        obj.email_confirmed_at = None if changes_email else stored.email_confirmed_at
        if not changes_email:
            obj.email = stored.email
        super().save_model(request, obj, form, change)
        if changes_email:
            mail.erase_address(stored.email)
            email_changes.queue_notice(obj, to=stored.email)
            email_confirmation.send_link(obj)
            email_changes.after_change(obj)

    @admin.action(description="Deactivate: every session ends at once", permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        chosen = self.within_reach(request, queryset.filter(is_active=True))
        others = [user for user in chosen if user != request.user]
        if len(others) < len(chosen):
            messages.error(request, "Nobody deactivates their own account here.")
        for user in others:
            services.deactivate(user=user)
            self.log_change(request, user, "Deactivated.")
        messages.success(request, f"Deactivated: {len(others)}.")

    @admin.action(description="Mail a link to confirm the address", permissions=["change"])
    def send_confirmation(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        chosen = self._unconfirmed(request, queryset)
        for user in chosen:
            email_confirmation.send_link(user)
            self.log_change(request, user, "Mailed a link to confirm the address.")
        messages.success(request, f"On their way: {len(chosen)}.")

    @admin.action(description="Mark the address as confirmed: codes are mailed there", permissions=["change"])
    def confirm_address(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        confirmed = 0
        for user in self._unconfirmed(request, queryset):
            if email_confirmation.confirm(user=user):
                self.log_change(request, user, "Marked the address as confirmed.")
                confirmed += 1
        messages.success(request, f"Confirmed: {confirmed}.")

    def _unconfirmed(self, request: HttpRequest, queryset: QuerySet[User]) -> list[User]:
        """Those of the chosen whose address is to be confirmed; says how many others there are."""
        chosen = self.within_reach(request, queryset)
        unconfirmed = [user for user in chosen if user.is_active and not user.email_confirmed]
        if left_out := len(chosen) - len(unconfirmed):
            messages.warning(request, f"Confirmed before, or deactivated: {left_out}.")
        return unconfirmed

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(LogsEachRow, DjangoGroupAdmin, PageAdmin):  # type: ignore[misc]
    """What a group may do is for superusers to say: whoever is in one could give themselves anything."""

    keeps_log = True

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return self._proved(request) or super().changelist_view(request, extra_context)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        return self._proved(request) or super().changeform_view(request, object_id, form_url, extra_context)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return self._proved(request) or super().delete_view(request, object_id, extra_context)

    def _proved(self, request: HttpRequest) -> HttpResponse | None:
        """The page that asks for a fresh proof, before anything is written; None if there is nothing to ask."""
        return ask_fresh_proof(request) if request.method == "POST" else None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return request.user.is_superuser


def people(text: str) -> list[Hit]:
    """The account with this e-mail address; else those with this text in it, and those of whom each word is in a name.

    None for a number alone, which is that of a payment.
    """
    if is_row_number(text):
        return []
    if owner := User.objects.filter(email=text).first():
        return [Hit(owner, owner.email, owner.full_name, is_certain=True)]
    named = Q()
    for word in text.split()[:5]:
        named &= Q(first_name__icontains=word) | Q(last_name__icontains=word)
    rows = User.objects.filter(Q(email__icontains=text) | named)[: MOST_HITS + 1]
    return [Hit(row, row.email, row.full_name) for row in rows]


register(Finder("People", "person", "users.view_user", people, reads_all=True))
