"""How many free vouchers of a type one person may have: nothing else keeps one account from taking all."""

from django.conf import settings
from django.db.models import Sum

from apps.payments.errors import FreeLimitReached
from apps.payments.models import PAID, Transaction
from apps.users.models import User


def check_limit(*, user: User, voucher_type_id: int, quantity: int) -> None:
    """Raise FreeLimitReached if so many more vouchers of a type would be more than FREE_VOUCHERS_PER_PERSON.

    Used ones count, and void ones; those that staff issued do not. The caller has locked the user's row, so that of any
    number of requests at once no more than the limit get past.
    """
    free = Transaction.objects.filter(
        user=user, voucher_type=voucher_type_id, amount=0, status__in=PAID
    ).order_by()
    issued = free.aggregate(quantity=Sum("quantity"))["quantity"] or 0
    if issued + quantity > settings.FREE_VOUCHERS_PER_PERSON:
        raise FreeLimitReached
