"""The query parameters of the figures, and their shapes."""

from datetime import date
from typing import Any, Final

from rest_framework import serializers

from apps.core.api.fields import StrictIntegerField, UTCDateTimeField

from . import periods
from .periods import Period

PERIOD_PARAMETERS: Final = frozenset({"days", "from", "to"})


class DayField(serializers.DateField):
    """A date that is near enough to reckon with."""

    def to_internal_value(self, value: Any) -> date:
        day: date = super().to_internal_value(value)
        if not periods.EARLIEST <= day <= periods.LATEST:
            raise serializers.ValidationError(
                f"Must lie between {periods.EARLIEST} and {periods.LATEST}.", code="out_of_range"
            )
        return day


class PeriodInput(serializers.Serializer[Any]):
    """`days`, or `from` and `to`; `today` is in the context. Validated data is {"period": Period}."""

    days = StrictIntegerField(
        required=False,
        min_value=1,
        max_value=periods.MOST_DAYS,
        help_text=f"The last so many days, today included; {periods.DEFAULT_DAYS} unless told.",
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        first = DayField(
            required=False,
            help_text=f"First day, inclusive; {periods.DEFAULT_DAYS} days up to `to` unless told. Not with `days`.",
        )
        last = DayField(
            required=False,
            help_text=f"Last day, inclusive; today unless told. At most {periods.MOST_DAYS} days.",
        )
        return {**super().get_fields(), "from": first, "to": last}

    def validate(self, attributes: dict[str, Any]) -> dict[str, Period]:
        today: date = self.context["today"]
        if "days" in attributes:
            if len(attributes) > 1:
                raise _refused("days", "Give either days, or from and to.", "not_together")
            return {"period": periods.days_until(today, attributes["days"])}
        last = attributes.get("to", today)
        period = Period(attributes["from"], last) if "from" in attributes else periods.days_until(last)
        if period.first > period.last:
            raise _refused("from", f"Must not be after {period.last}.", "period_reversed")
        if period.length > periods.MOST_DAYS:
            raise _refused("from", f"A period has at most {periods.MOST_DAYS} days.", "period_too_long")
        return {"period": period}


def _refused(name: str, detail: str, code: str) -> serializers.ValidationError:
    return serializers.ValidationError({name: [serializers.ErrorDetail(detail, code)]})


class TotalField(serializers.DecimalField):
    """Money as a string with two places, however large the sum."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=None, decimal_places=2, **options)


class RateField(serializers.DecimalField):
    """A share from 0 to 1 as a string with four places; null of nothing."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("help_text", "The share of the vouchers issued that were redeemed, from 0 to 1.")
        super().__init__(**{"max_digits": None, "decimal_places": 4, "allow_null": True, **options})


class PeriodOutput(serializers.Serializer[Period]):
    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {
            "from": serializers.DateField(source="first"),
            "to": serializers.DateField(source="last", help_text="Inclusive."),
        }


class SoldTypeOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    service_type = serializers.CharField()


class CurrencySalesOutput(serializers.Serializer[Any]):
    currency = serializers.CharField()
    revenue = TotalField()
    refunded = TotalField()
    goodwill = TotalField()
    net = TotalField()


class FiguresOutput(serializers.Serializer[Any]):
    purchases = serializers.IntegerField(help_text="Paid transactions.")
    revenue = TotalField(help_text="What was paid, in the default currency.")
    refunded = TotalField(help_text="What of the revenue was given back since.")
    goodwill = TotalField(help_text="The part of refunded that no voucher is void for.")
    net = TotalField(help_text="Revenue less refunded.")
    other_currencies = CurrencySalesOutput(
        source="other_sales", many=True, help_text="The same in each other currency, if any."
    )
    vouchers_issued = serializers.IntegerField()
    vouchers_free = serializers.IntegerField(help_text="Of these: issued in batches, for which nobody paid.")
    vouchers_redeemed = serializers.IntegerField(help_text="Of those issued: redeemed, once at least.")
    redemption_rate = RateField(source="redemption_share")
    vouchers_active = serializers.IntegerField(help_text="Of those issued in the period, as they are now.")
    vouchers_used = serializers.IntegerField()
    vouchers_expired = serializers.IntegerField()
    vouchers_inactive = serializers.IntegerField()
    redemptions = serializers.IntegerField(help_text="Personal: uses of the caller's vouchers, by whomever.")
    seconds_to_first_use = serializers.IntegerField(
        allow_null=True,
        help_text="From issue to the first use of a voucher, on average over the first uses of the period.",
    )


class DayOutput(serializers.Serializer[Any]):
    date = serializers.DateField()
    purchases = serializers.IntegerField(source="figures.purchases")
    revenue = TotalField(source="figures.revenue")
    other_currencies = CurrencySalesOutput(source="figures.other_sales", many=True)
    vouchers_issued = serializers.IntegerField(source="figures.vouchers_issued")
    redemptions = serializers.IntegerField(source="figures.redemptions")


class TypeOutput(serializers.Serializer[Any]):
    voucher_type = SoldTypeOutput()
    sold = serializers.IntegerField(source="figures.vouchers_issued", help_text="Vouchers issued.")
    revenue = TotalField(source="figures.revenue")
    other_currencies = CurrencySalesOutput(source="figures.other_sales", many=True)
    redeemed = serializers.IntegerField(source="figures.redemptions")


class EventOutput(serializers.Serializer[Any]):
    type = serializers.ChoiceField(choices=("purchase", "redemption"))
    at = UTCDateTimeField()
    voucher_type = serializers.CharField(help_text="Its name.")
    quantity = serializers.IntegerField()
    amount = TotalField(allow_null=True, help_text="Null for a redemption.")
    currency = serializers.CharField(allow_null=True)


class UserFiguresOutput(serializers.Serializer[Any]):
    total = serializers.IntegerField(help_text="All accounts, whenever made.")
    new = serializers.IntegerField(help_text="Made in the period.")
    active = serializers.IntegerField(help_text="Bought, redeemed or last signed in in the period.")


class RefusalsOutput(serializers.Serializer[Any]):
    reason = serializers.CharField(help_text="The code of the answer or, of an inactive voucher, its reason.")
    service_type = serializers.CharField(help_text="Empty if it is not known.")
    number = serializers.IntegerField()


class DashboardOutput(serializers.Serializer[Any]):
    scope = serializers.ChoiceField(choices=("platform", "personal"))
    currency = serializers.CharField()
    period = PeriodOutput()
    totals = FiguresOutput(source="tally.totals")
    series = DayOutput(source="tally.by_day", many=True, help_text="Every day of the period.")
    by_voucher_type = TypeOutput(source="tally.by_type", many=True)
    recent = EventOutput(many=True, help_text="The last ten events of the period, newest first.")
    users = UserFiguresOutput(required=False, help_text="With scope platform only.")
    refusals = RefusalsOutput(
        many=True, required=False, help_text="Redemptions refused in the period, with scope platform only."
    )

    def to_representation(self, instance: Any) -> dict[str, Any]:
        document: dict[str, Any] = super().to_representation(instance)
        for name in ("users", "refusals"):
            if document[name] is None:
                del document[name]
        return document


class CurrencyNetSalesOutput(serializers.Serializer[Any]):
    currency = serializers.CharField()
    gross = TotalField(source="revenue")
    refunded = TotalField()
    goodwill = TotalField()
    net = TotalField()
    refunds_paid = TotalField()
    disputes_lost = TotalField()


class SalesOutput(serializers.Serializer[Any]):
    purchases = serializers.IntegerField(source="figures.purchases")
    gross = TotalField(source="figures.revenue")
    refunded = TotalField(source="figures.refunded", help_text="Given back since, on the purchase's day.")
    goodwill = TotalField(
        source="figures.goodwill", help_text="The part of refunded that no voucher is void for."
    )
    net = TotalField(source="figures.net")
    refunds_paid = TotalField(
        source="figures.refunds_paid", help_text="Refunds that were paid on the day, of whichever sales."
    )
    disputes_lost = TotalField(
        source="figures.disputes_lost", help_text="What banks took back on the day, of whichever sales."
    )
    other_currencies = CurrencyNetSalesOutput(source="figures.other_currencies", many=True)


class DaySalesOutput(SalesOutput):
    date = serializers.DateField()


class TypeSalesOutput(SalesOutput):
    voucher_type = SoldTypeOutput()


class SalesTotalsOutput(serializers.Serializer[Any]):
    purchases = serializers.IntegerField()
    gross = TotalField(source="revenue")
    refunded = TotalField()
    goodwill = TotalField()
    net = TotalField()
    refunds_paid = TotalField()
    disputes_lost = TotalField()
    redemption_rate = RateField(source="redemption_share")
    seconds_to_first_use = serializers.IntegerField(allow_null=True)
    other_currencies = CurrencyNetSalesOutput(many=True, help_text="The same in each other currency, if any.")


class ObligationsOutput(serializers.Serializer[Any]):
    currency = serializers.CharField()
    outstanding_liability = TotalField()
    breakage = TotalField()
    unpaid_outstanding = TotalField()
    unpaid_expired = TotalField()


class DayBreakageOutput(serializers.Serializer[Any]):
    date = serializers.DateField()
    currency = serializers.CharField()
    breakage = TotalField(source="amount")


class RevenueOutput(serializers.Serializer[Any]):
    currency = serializers.CharField()
    period = PeriodOutput()
    daily = DaySalesOutput(source="tally.by_day", many=True, help_text="Every day of the period.")
    by_voucher_type = TypeSalesOutput(source="tally.by_type", many=True)
    totals = SalesTotalsOutput(source="tally.totals")
    outstanding_liability = TotalField(
        source="obligations.outstanding_liability",
        help_text="What was paid for uses that can still be made, now.",
    )
    breakage = TotalField(
        source="obligations.breakage", help_text="What was paid for uses that expired, until now."
    )
    unpaid_outstanding = TotalField(
        source="obligations.unpaid_outstanding",
        help_text="The worth of uses that can still be made, of vouchers that nobody paid for (batches).",
    )
    unpaid_expired = TotalField(
        source="obligations.unpaid_expired",
        help_text="The worth of uses that expired, of vouchers that nobody paid for.",
    )
    other_currencies = ObligationsOutput(many=True, help_text="These four in each other currency, if any.")
    breakage_by_day = DayBreakageOutput(
        many=True,
        help_text="What was paid for uses that expired on a day of the period, for each day and currency with any.",
    )
