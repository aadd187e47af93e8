"""Who can sign in to the demo: a buyer, a superuser, and a member of staff for each ready group."""

from dataclasses import dataclass
from typing import Final

from django.contrib.auth.models import Group
from django.utils import timezone

from apps.users import staff_groups
from apps.users.models import User


@dataclass(frozen=True)
class DemoAccount:
    """Whom the demo lets sign in, with a password that everybody knows; `group` is that of their role, if any."""

    label: str
    email: str
    password: str
    first_name: str
    last_name: str
    group: str = ""
    is_superuser: bool = False


ACCOUNTS: Final = (
    DemoAccount("Buyer", "demo@example.com", "demo-voucher-pass", "Demo", "Buyer"),
    DemoAccount("Superuser", "staff@example.com", "staff-voucher-pass", "Sefa", "Staff", is_superuser=True),
    DemoAccount("Desk", "desk@example.com", "desk-voucher-pass", "Dede", "Desk", "Desk"),
    DemoAccount("Finance", "finance@example.com", "finance-voucher-pass", "Fiifi", "Finance", "Finance"),
    DemoAccount(
        "Catalogue", "catalogue@example.com", "catalogue-voucher-pass", "Kofi", "Catalogue", "Catalogue"
    ),
    DemoAccount("Manager", "manager@example.com", "manager-voucher-pass", "Mansa", "Manager", "Manager"),
)


def create_accounts() -> None:
    """Make the accounts and the ready groups, with their passwords and rights whatever happened to them before."""
    staff_groups.create_staff_groups()
    for account in ACCOUNTS:
        _create(account)


def accounts_text() -> str:
    """The accounts with their passwords, one on a line."""
    return "\n".join(
        f"  {account.label:<10} {account.email:<22} password: {account.password}" for account in ACCOUNTS
    )


def _create(account: DemoAccount) -> None:
    user = User.objects.filter(email=account.email).first()
    if user is None:
        user = User.objects.create_user(email=account.email, password=account.password)
    elif not user.check_password(account.password):
        user.set_password(account.password)
    user.first_name, user.last_name = account.first_name, account.last_name
    user.is_active, user.is_superuser = True, account.is_superuser
    user.email_confirmed_at = user.email_confirmed_at or timezone.now()
    user.is_staff = account.is_superuser or bool(account.group)
    user.save()
    user.groups.set(Group.objects.filter(name=account.group))
