"""The dashboard, aggregated from the rows at each request."""

from datetime import datetime, time, timedelta

from django.conf import settings
from django.db.models import Avg, Count, DurationField, F, Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from .filters import status_q
from .models import Transaction, User, Voucher, VoucherType, VoucherUsage


def figures(user, days):
    """The figures of the last so many days: of one user's books, or of the platform if it is None."""
    last = timezone.localdate()
    first = last - timedelta(days=days - 1)
    period = [
        timezone.make_aware(datetime.combine(day, time.min)) for day in (first, last + timedelta(days=1))
    ]
    sales = Transaction.objects.filter(
        status__in=["completed", "refunded"], completed_at__gte=period[0], completed_at__lt=period[1]
    )
    vouchers = Voucher.objects.filter(purchase_date__gte=period[0], purchase_date__lt=period[1])
    usages = VoucherUsage.objects.filter(used_at__gte=period[0], used_at__lt=period[1])
    if user:
        sales, vouchers = sales.filter(user=user), vouchers.filter(user=user)
        usages = usages.filter(voucher__user=user)
    answer = {
        "scope": "personal" if user else "platform",
        "currency": settings.DEFAULT_CURRENCY,
        "period": {"from": first, "to": last},
        "totals": totals(sales, vouchers, usages),
        "series": series(sales, vouchers, usages, [first + timedelta(days=n) for n in range(days)]),
        "by_voucher_type": by_voucher_type(sales, vouchers, usages),
        "recent": recent(sales, usages),
    }
    if not user:
        answer["users"] = users(period, sales, usages)
    return answer


def money(value):
    return f"{value or 0:.2f}"


def totals(sales, vouchers, usages):
    sold = sales.aggregate(purchases=Count("id"), revenue=Sum("amount"), refunded=Sum("amount_refunded"))
    issued = vouchers.aggregate(
        vouchers_issued=Count("id"),
        vouchers_redeemed=Count("id", filter=Q(uses_remaining__lt=F("total_uses"))),
        vouchers_active=Count("id", filter=status_q("active")),
        vouchers_used=Count("id", filter=status_q("used")),
        vouchers_expired=Count("id", filter=status_q("expired")),
        vouchers_inactive=Count("id", filter=status_q("inactive")),
    )
    first_use = usages.filter(use_no=1).aggregate(
        time=Avg(F("used_at") - F("voucher__purchase_date"), output_field=DurationField())
    )["time"]
    return {
        "purchases": sold["purchases"],
        "revenue": money(sold["revenue"]),
        "refunded": money(sold["refunded"]),
        "goodwill": money(0),
        "net": money((sold["revenue"] or 0) - (sold["refunded"] or 0)),
        "other_currencies": [],
        **issued,
        "vouchers_free": 0,
        "redemption_rate": f"{issued['vouchers_redeemed'] / issued['vouchers_issued']:.4f}"
        if issued["vouchers_issued"]
        else None,
        "redemptions": usages.count(),
        "seconds_to_first_use": round(first_use.total_seconds()) if first_use else None,
    }


def series(sales, vouchers, usages, days):
    sold = {
        row["day"]: row
        for row in sales.annotate(day=TruncDate("completed_at"))
        .order_by()
        .values("day")
        .annotate(purchases=Count("id"), revenue=Sum("amount"))
    }
    issued = count_by(vouchers.annotate(day=TruncDate("purchase_date")), "day")
    redeemed = count_by(usages.annotate(day=TruncDate("used_at")), "day")
    return [
        {
            "date": day,
            "purchases": sold.get(day, {}).get("purchases", 0),
            "revenue": money(sold.get(day, {}).get("revenue")),
            "other_currencies": [],
            "vouchers_issued": issued.get(day, 0),
            "redemptions": redeemed.get(day, 0),
        }
        for day in days
    ]


def by_voucher_type(sales, vouchers, usages):
    revenue = dict(sales.order_by().values_list("voucher_type").annotate(revenue=Sum("amount")))
    sold = count_by(vouchers, "voucher_type")
    redeemed = count_by(usages, "voucher__voucher_type")
    return [
        {
            "voucher_type": {"id": kind.id, "name": kind.name, "service_type": kind.service_type},
            "sold": sold.get(kind.id, 0),
            "revenue": money(revenue.get(kind.id)),
            "other_currencies": [],
            "redeemed": redeemed.get(kind.id, 0),
        }
        for kind in VoucherType.objects.filter(id__in={*revenue, *sold, *redeemed})
    ]


def count_by(rows, column):
    return dict(rows.order_by().values_list(column).annotate(count=Count("id")))


def recent(sales, usages):
    events = [
        {
            "type": "purchase",
            "at": sale.completed_at,
            "voucher_type": sale.voucher_type.name,
            "quantity": sale.quantity,
            "amount": money(sale.amount),
            "currency": sale.currency,
        }
        for sale in sales.select_related("voucher_type").order_by("-completed_at")[:10]
    ]
    events += [
        {
            "type": "redemption",
            "at": usage.used_at,
            "voucher_type": usage.voucher.voucher_type.name,
            "quantity": 1,
            "amount": None,
            "currency": None,
        }
        for usage in usages.select_related("voucher__voucher_type").order_by("-used_at")[:10]
    ]
    return sorted(events, key=lambda event: event["at"], reverse=True)[:10]


def users(period, sales, usages):
    active = Q(id__in=sales.order_by().values("user")) | Q(id__in=usages.order_by().values("user"))
    active |= Q(last_login__gte=period[0], last_login__lt=period[1])
    return {
        "total": User.objects.count(),
        "new": User.objects.filter(date_joined__gte=period[0], date_joined__lt=period[1]).count(),
        "active": User.objects.filter(active).count(),
    }
