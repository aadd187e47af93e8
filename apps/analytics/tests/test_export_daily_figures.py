"""`manage.py export_daily_figures`: the rows add up to the figures of the API, day by day."""

import csv
import io
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from unittest.mock import patch

from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone

from apps.analytics import exports
from apps.core.models import DataExport
from apps.payments.models import Transaction
from apps.payments.tests.factories import make_completed_transaction
from apps.users.tests.factories import make_customer, make_staff
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_batch_vouchers, make_type
from tests.support.cases import ApiTestCase

# Around the night in which clocks go back in New York, at both ends of its local day.
MOMENTS = (
    datetime(2025, 11, 2, 3, 59, 59, tzinfo=UTC),
    datetime(2025, 11, 2, 4, 0, 0, tzinfo=UTC),
    datetime(2025, 11, 3, 4, 59, 59, tzinfo=UTC),
    datetime(2025, 11, 3, 5, 0, 0, tzinfo=UTC),
)


@override_settings(TIME_ZONE="America/New_York")
class ExportDailyFiguresTests(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        customer = make_customer()
        for currency in ("USD", "EUR"):
            kind = make_type(name=currency, currency=currency, price=10)
            for at in MOMENTS:
                paid = make_completed_transaction(user=customer, voucher_type=kind, completed_at=at)
                Voucher.objects.filter(sale__transaction=paid).update(purchase_date=at)
        Transaction.objects.filter(currency="EUR", completed_at=MOMENTS[1]).update(
            amount_refunded="2.50", amount_goodwill="2.50"
        )
        make_batch_vouchers(owner=customer, quantity=3)
        self.api = self.signed_in(make_staff())

    def rows(self, *arguments: str) -> list[dict[str, str]]:
        output = io.StringIO()
        call_command("export_daily_figures", *arguments, stdout=output, stderr=io.StringIO())
        return list(csv.DictReader(io.StringIO(output.getvalue().removeprefix("\ufeff"), newline="")))

    def test_each_local_day_has_its_own_in_each_currency(self) -> None:
        rows = self.rows("--from", "2025-11-01", "--to", "2025-11-03")
        self.assertEqual(
            [
                (row["day (America/New York)"], row["currency"], row["revenue"], row["refunded"], row["net"])
                for row in rows
            ],
            [
                ("2025-11-01", "USD", "10.00", "0.00", "10.00"),
                ("2025-11-01", "EUR", "10.00", "0.00", "10.00"),
                ("2025-11-02", "USD", "20.00", "0.00", "20.00"),
                ("2025-11-02", "EUR", "20.00", "2.50", "17.50"),
                ("2025-11-03", "USD", "10.00", "0.00", "10.00"),
                ("2025-11-03", "EUR", "10.00", "0.00", "10.00"),
            ],
        )
        self.assertEqual([row["purchases"] for row in rows], ["2", "", "4", "", "2", ""])
        self.assertEqual([row["vouchers issued"] for row in rows], ["2", "", "4", "", "2", ""])

    def test_sums_are_the_figures_of_the_api(self) -> None:
        last = timezone.localdate()
        first = last - timedelta(days=365)
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for row in self.rows("--from", f"{first}", "--to", f"{last}"):
            sums[row["currency"]] += Decimal(row["net"])
            sums["purchases"] += Decimal(row["purchases"] or 0)
            sums["issued"] += Decimal(row["vouchers issued"] or 0)
        totals = self.api.get(f"/api/analytics/dashboard/?from={first}&to={last}").json()["totals"]
        revenue = self.api.get(f"/api/analytics/revenue/?from={first}&to={last}").json()["totals"]
        in_sql = Transaction.objects.filter(
            completed_at__gte=datetime(first.year, first.month, first.day, tzinfo=UTC)
        )
        self.assertEqual(f"{sums['USD']:.2f}", revenue["net"])
        self.assertEqual(
            (sums["purchases"], sums["issued"]), (totals["purchases"], totals["vouchers_issued"])
        )
        self.assertEqual(sums["purchases"], in_sql.count())

    def test_without_days_it_begins_with_the_first_that_has_figures_and_ends_today(self) -> None:
        with patch.object(exports, "MOST_DAYS", 7):
            in_stretches = self.rows()
        self.assertEqual(self.rows(), in_stretches)
        days = [row["day (America/New York)"] for row in in_stretches]
        self.assertEqual((days[0], days[-1]), ("2025-11-01", f"{timezone.localdate()}"))
        self.assertEqual(
            len(set(days)), (timezone.localdate() - exports.period_of(None, None).first).days + 1
        )
        self.assertEqual(DataExport.objects.latest("pk").rows, len(days))

    def test_days_to_come_have_no_figures(self) -> None:
        tomorrow = timezone.localdate() + timedelta(days=1)
        self.assertEqual(
            self.rows("--to", f"{tomorrow}")[-1]["day (America/New York)"], f"{timezone.localdate()}"
        )
        for days in (
            ("--from", f"{tomorrow}"),
            ("--from", "2026-01-02", "--to", "2026-01-01"),
            ("--from", "0001-01-01"),
        ):
            with self.assertRaisesRegex(CommandError, "The days are between"):
                self.rows(*days)
