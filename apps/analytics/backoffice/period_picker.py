"""The picker: which days and currency a page of figures shows, as its address says, and the links to others."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final
from urllib.parse import urlencode

from django.conf import settings
from django.utils.formats import date_format

from apps.analytics import periods
from apps.analytics.periods import Period
from apps.analytics.serializers import PERIOD_PARAMETERS, PeriodInput
from apps.core.errors import first_of
from apps.vouchers.models import CURRENCY_CODE

PRESET_DAYS: Final = (1, 7, 30, 90, 366)


@dataclass(frozen=True)
class Choice:
    """A link of a picker; `is_chosen` if the page shows this already."""

    title: str
    address: str
    is_chosen: bool


@dataclass(frozen=True)
class Selection:
    """What a page shows; `error` says what of its address could not be read, and is not shown."""

    period: Period
    currency: str
    today: date
    error: str = ""

    @property
    def title(self) -> str:
        """The days in words."""
        first, last = (date_format(day, "j F Y") for day in (self.period.first, self.period.last))
        return first if first == last else f"{first} – {last}"

    @property
    def period_before(self) -> Period | None:
        """As many days, right before; None where the calendar has none."""
        first = self.period.first.toordinal() - self.period.length
        if first < periods.EARLIEST.toordinal():
            return None
        return periods.days_until(self.period.first - timedelta(days=1), self.period.length)

    def period_choices(self) -> list[Choice]:
        """The usual periods, as links; those of months are whole or, for this month, until today."""
        month = self.today.replace(day=1)
        last_month_ends = month - timedelta(days=1)
        choices: list[tuple[str, Period, dict[str, object]]] = [
            (
                "Today" if number == 1 else f"{number} days",
                periods.days_until(self.today, number),
                {"days": number},
            )
            for number in PRESET_DAYS
        ]
        for title, period in (
            ("This month", Period(month, self.today)),
            ("Last month", Period(last_month_ends.replace(day=1), last_month_ends)),
        ):
            choices.append((title, period, {"from": period.first, "to": period.last}))
        # Two of them may be the same days, such as this month on the 30th: one is marked.
        chosen = next((title for title, period, _ in choices if period == self.period), "")
        return [
            Choice(title, self._address(query, self.currency), title == chosen) for title, _, query in choices
        ]

    def currency_choices(self, currencies: Iterable[str]) -> list[Choice]:
        """The default currency, the chosen one and these, as links."""
        default = settings.DEFAULT_CURRENCY
        others = sorted({*currencies, self.currency} - {default})
        query = {"from": self.period.first, "to": self.period.last}
        return [
            Choice(each, self._address(query, each), each == self.currency) for each in (default, *others)
        ]

    def address_of(self, path: str) -> str:
        """The address of another page that shows the same days and currency."""
        return path + self._address({"from": self.period.first, "to": self.period.last}, self.currency)

    @staticmethod
    def _address(query: Mapping[str, object], currency: str) -> str:
        shown = {} if currency == settings.DEFAULT_CURRENCY else {"currency": currency}
        return f"?{urlencode({**query, **shown})}"


def read_selection(params: Mapping[str, str], *, today: date) -> Selection:
    """The selection in the parameters `days`, or `from` and `to` (local days, both included), and `currency`.

    What is wrong or empty is left out: thirty days until today, and the default currency.
    """
    errors = []
    # The form of the page sends what was left empty, too.
    query = {name: params[name] for name in PERIOD_PARAMETERS if params.get(name)}
    serializer = PeriodInput(data=query, context={"today": today})
    period = periods.days_until(today)
    if serializer.is_valid():
        period = serializer.validated_data["period"]
    else:
        errors.append(
            first_of(
                {name: [{"detail": str(each)} for each in lines] for name, lines in serializer.errors.items()}
            )
        )
    currency = params.get("currency", "").strip().upper() or settings.DEFAULT_CURRENCY
    if not CURRENCY_CODE.match(currency):
        errors.append("A currency has three letters, such as USD.")
        currency = settings.DEFAULT_CURRENCY
    return Selection(period, currency, today, " ".join(errors))
