"""Figures of a period that equal the books, at a cost that does not grow with them.

Most of a period stands in the roll-up (models.py). What happened since it was counted, and any day that is not in it,
is counted from the rows. So the answers are the same with a roll-up, without one, and while it is counted.

To show figures, call

* `figures_of(period=, now=, currency=, owner=None)`: a MetricsReport with `totals`, `by_day` (every day of the
  period, in order) and `by_type` (voucher types by name), each with the Metrics below;
* `obligations(now=, currency=)`: what is owed for unused uses now, and what expired, for each currency;
* `breakage_by_day(period=, now=)`: what of it expired on each day of the period;
* `dashboard(...)` and `revenue(...)`: these two together with users and last events, as the API answers them;
* `user_figures(period)`: how many people there are, and how many of them are new or were active;
* `vouchers_active(now)`: how many vouchers can be redeemed.

`period` is a `periods.Period` of local days (`days_until(today, 30)`), `currency` the one whose money stands in the
Metrics themselves, with that in each other currency in `other_currencies`. `now` is an aware datetime, to be read once
for all calls; to see one moment of the books in several calls, put them into `with one_moment():`.

What the figures mean, for the platform or for one owner:

* A purchase is a paid transaction (completed or refunded), at the moment its money arrived (`completed_at`).
* Revenue, or gross, is the amount of these purchases; `refunded` is what of this amount went back since,
  whenever that was, so both belong to the day of the purchase. Net is revenue less refunded. Goodwill is the part
  of refunded that no voucher is void for.
* `refunds_paid` is what was refunded on a day, and `disputes_lost` what banks took back on it, of whichever purchases.
  Of one purchase both together may be more than was paid, where a bank took back what had been refunded.
* A voucher is issued on its `purchase_date`. The vouchers issued in the period are active, used, expired or
  inactive as they are now, and these four add up to them. `vouchers_free` of them were issued in batches, for which
  nobody paid; `vouchers_redeemed` of them have a use that was not reversed, and the redemption rate is their share.
* A redemption is one use, at its `used_at`, unless it was reversed since, whenever that was. An owner's
  redemptions are the uses of the vouchers that they own, whoever redeemed them, as in the voucher statistics.
  `reversals` were made on the day, of whichever uses.
* What went back on a day and `reversals` are counted for the platform only.
* `first_uses` are the redemptions that were the first use of their voucher, and `time_to_first_use` is how long
  after its issue that was, on average.
* Money is counted by currency; purchases, vouchers and redemptions are counted in all of them.
* Days are those of the project's time zone, from their first moment up to the first of the next.
"""

from apps.core.snapshots import one_moment as one_moment

from .dashboards import Dashboard as Dashboard
from .dashboards import Revenue as Revenue
from .dashboards import dashboard as dashboard
from .dashboards import revenue as revenue
from .dashboards import tally_of_platform as tally_of_platform
from .events import Event as Event
from .metrics import CurrencySales as CurrencySales
from .metrics import DayFigures as DayFigures
from .metrics import Metrics as Metrics
from .metrics import MetricsReport as MetricsReport
from .metrics import TypeFigures as TypeFigures
from .obligations import DayBreakage as DayBreakage
from .obligations import Obligations as Obligations
from .obligations import breakage_by_day as breakage_by_day
from .obligations import obligations as obligations
from .people import UserFigures as UserFigures
from .people import user_figures as user_figures
from .reports import figures_of as figures_of
from .reports import vouchers_active as vouchers_active
