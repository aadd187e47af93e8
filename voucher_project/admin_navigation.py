"""The admin's side bar by task, and the tabs over its lists (SIDEBAR and TABS of UNFOLD in the settings)."""

from dataclasses import dataclass
from typing import Any, Final

from django.apps import apps
from django.db.models import Model
from django.http import HttpRequest, QueryDict
from django.urls import reverse

from apps.analytics.models import VIEW_FIGURES
from apps.core.backoffice.attention import items_of, numbers_for, shown_number


@dataclass(frozen=True)
class Entry:
    """A list of the admin: the title and icon (of Material Symbols) in the side bar, the model ("app.model"), and the
    tabs over the list, each with the query of its address."""

    title: str
    icon: str
    model: str
    tabs: tuple[tuple[str, str], ...] = ()

    @property
    def model_class(self) -> type[Model]:
        return apps.get_model(self.model)

    @property
    def address(self) -> str:
        return reverse(f"admin:{self.model.replace('.', '_')}_changelist")

    def is_visible_to(self, user: Any) -> bool:
        """Whether the user may see the list: who may change rows may see them, as in Django's admin."""
        app_label, _, name = self.model.partition(".")
        return any(user.has_perm(f"{app_label}.{right}_{name}") for right in ("view", "change"))


GROUPS: Final[tuple[tuple[str, tuple[Entry, ...]], ...]] = (
    (
        "Vouchers",
        (
            Entry(
                "Vouchers",
                "confirmation_number",
                "vouchers.voucher",
                (
                    ("Active", "status=active"),
                    ("Used", "status=used"),
                    ("Expired", "status=expired"),
                    ("Inactive", "status=inactive"),
                ),
            ),
            Entry(
                "Redemptions", "qr_code_scanner", "vouchers.voucherusage", (("Given back", "given_back=yes"),)
            ),
            Entry("History", "history", "vouchers.voucherevent"),
            Entry("Batches", "inventory_2", "vouchers.batch"),
            Entry(
                "Exports of codes",
                "approval",
                "vouchers.codeexportrequest",
                (
                    ("To decide", "attention=exports_requested"),
                    ("Approved", "status__exact=approved"),
                    ("Exported", "status__exact=exported"),
                    ("Rejected", "status__exact=rejected"),
                ),
            ),
        ),
    ),
    (
        "Payments",
        (
            Entry(
                "Payments",
                "payments",
                "payments.transaction",
                (
                    ("Completed", "status__exact=completed"),
                    ("Pending", "status__exact=pending"),
                    ("Refunded", "status__exact=refunded"),
                    ("Failed", "status__exact=failed"),
                ),
            ),
            Entry(
                "Refunds",
                "currency_exchange",
                "payments.refund",
                (
                    ("To decide", "attention=refunds_requested"),
                    ("Pending", "status__exact=pending"),
                    ("Succeeded", "status__exact=succeeded"),
                    ("Failed", "status__exact=failed"),
                    ("Rejected", "status__exact=rejected"),
                ),
            ),
            Entry(
                "Disputes",
                "gavel",
                "payments.dispute",
                (
                    ("To answer", "attention=disputes_awaiting_response"),
                    ("Open", "outcome__exact=open"),
                    ("Won", "outcome__exact=won"),
                    ("Lost", "outcome__exact=lost"),
                ),
            ),
        ),
    ),
    (
        "Catalogue",
        (
            Entry(
                "Voucher types",
                "storefront",
                "vouchers.vouchertype",
                (("On sale", "is_active__exact=1"), ("Off sale", "is_active__exact=0")),
            ),
        ),
    ),
    (
        "People",
        (
            Entry("Users", "person", "users.user", (("Staff", "is_staff__exact=1"),)),
            Entry("Sessions", "devices", "authentication.session"),
            Entry("Groups", "groups", "auth.group"),
        ),
    ),
    (
        "System",
        (
            Entry(
                "Stripe events",
                "webhook",
                "payments.stripeevent",
                (("Waiting", "state=waiting"), ("Applied", "state=applied")),
            ),
            Entry("Mail", "mail", "post_office.email", (("Failed", "attention=mail_failed"),)),
            Entry("Job results", "fact_check", "core.jobresult"),
            Entry(
                "Bulk operations",
                "playlist_play",
                "core.bulkoperation",
                (
                    ("Running", "status__exact=running"),
                    ("Stopped", "status__exact=stopped"),
                    ("Failed", "status__exact=failed"),
                    ("Completed", "status__exact=completed"),
                ),
            ),
            Entry("Exports", "download", "core.dataexport"),
        ),
    ),
)
ENTRIES: Final = tuple(entry for _, entries in GROUPS for entry in entries)


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups and entries that the user may see, with how many rows of each need a person."""
    numbers = numbers_for(request)
    overview = {"title": "Overview", "icon": "space_dashboard", "link": reverse("admin:index")}
    figures = [{"title": "Revenue", "icon": "monitoring", "link": reverse("admin-revenue")}]
    may_view_figures = request.user.has_perm(VIEW_FIGURES)
    groups: list[dict[str, Any]] = [
        {"title": "", "items": [overview, *(figures if may_view_figures else [])]}
    ]
    for title, entries in GROUPS:
        if items := [_link(entry, numbers) for entry in entries if entry.is_visible_to(request.user)]:
            groups.append({"title": title, "separator": True, "items": items})
    return groups


def _link(entry: Entry, numbers: dict[str, int]) -> dict[str, Any]:
    link = {"title": entry.title, "icon": entry.icon, "link": entry.address}
    waiting = [item for item in items_of(entry.model_class) if numbers.get(item.name)]
    if waiting:
        link["badge"] = shown_number(sum(numbers[item.name] for item in waiting))
        link["badge_variant"] = "danger" if any(item.urgent for item in waiting) else "warning"
    return link


def tabs(request: HttpRequest) -> list[dict[str, Any]]:
    """The tabs over the list that the request is for: all rows, and those of some status."""
    for entry in ENTRIES:
        if entry.tabs and request.path == entry.address:
            return [{"models": [entry.model], "items": _tab_items(entry, request.GET)}]
    return []


def _tab_items(entry: Entry, shown: QueryDict) -> list[dict[str, Any]]:
    queries = [(title, query, QueryDict(query)) for title, query in entry.tabs]
    narrowing = {name for _, _, parameters in queries for name in parameters}
    everything = {"title": "All", "link": entry.address, "active": not narrowing.intersection(shown)}
    return [everything] + [
        {
            "title": title,
            "link": f"{entry.address}?{query}",
            "active": all(shown.get(name) == value for name, value in parameters.items()),
        }
        for title, query, parameters in queries
    ]
