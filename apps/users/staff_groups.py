"""Making the ready groups of staff, and bringing them up to date."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Q

from .staff_roles import ROLES


@dataclass(frozen=True)
class GroupChanges:
    """What became of a group: the permissions it got and lost, and those of its role that this database lacks."""

    name: str
    is_new: bool
    added: list[str]
    removed: list[str]
    missing: list[str]


@transaction.atomic
def create_staff_groups(*, reset: bool = False) -> list[GroupChanges]:
    """Make the group of each role in ROLES, or add to it what it lacks; what changed, group by group.

    What a group has besides stays, unless `reset`: then it has what its role says and nothing else. Permissions that
    are not there, as the migrations that bring them have not run, are left out and named. Safe to repeat.
    """
    return [_bring_up_to_date(name, codenames, reset) for name, codenames in ROLES.items()]


def _bring_up_to_date(name: str, codenames: Iterable[str], reset: bool) -> GroupChanges:
    expected = set(codenames)
    existing = _permissions(expected)
    group, is_new = Group.objects.get_or_create(name=name)
    Group.objects.select_for_update().get(pk=group.pk)  # two runs at once report each change once
    held = {_codename(each): each for each in group.permissions.select_related("content_type")}
    added = existing.keys() - held.keys()
    removed = held.keys() - expected if reset else set()
    group.permissions.add(*(existing[each] for each in added))
    group.permissions.remove(*(held[each] for each in removed))
    return GroupChanges(
        name, is_new, sorted(added), sorted(removed), missing=sorted(expected - existing.keys())
    )


def _permissions(codenames: Iterable[str]) -> dict[str, Permission]:
    """Those of the permissions that exist, by their names such as "vouchers.view_voucher"."""
    pairs = (each.split(".") for each in codenames)
    conditions = (Q(content_type__app_label=app, codename=codename) for app, codename in pairs)
    rows = Permission.objects.filter(reduce(or_, conditions)).select_related("content_type")
    return {_codename(each): each for each in rows}


def _codename(permission: Permission) -> str:
    return f"{permission.content_type.app_label}.{permission.codename}"
