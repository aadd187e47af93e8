"""Vouchers that may have changed, as they are and as the roll-up noted them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final, NamedTuple

from django.db.models import Q

from apps.analytics.models import CountedVoucher
from apps.analytics.selectors import changes
from apps.analytics.selectors.metrics import Row
from apps.analytics.selectors.obligations import WITH_VALUE
from apps.analytics.selectors.rows import flag, local_day
from apps.vouchers.models import Voucher

PORTION: Final = 2000  # vouchers that are in memory at a time
UnusedKey = tuple[date, int, str, int, bool]  # as the unique constraint of UnusedValue


class Note(NamedTuple):
    """What the roll-up knows of a voucher."""

    status: str
    uses_remaining: int
    expires_on: date


@dataclass(frozen=True)
class ChangedVoucher:
    """A voucher with the day of its issue and its terms, how it is, and how it was noted, or None if it was not."""

    pk: int
    owner_id: int
    day: date
    type_id: int
    currency: str
    is_sold: bool
    face_value: Decimal
    total_uses: int
    new: Note
    old: Note | None

    def note(self) -> CountedVoucher:
        """How it is now, to be saved."""
        return CountedVoucher(voucher_id=self.pk, **self.new._asdict())

    def differences(self) -> Iterator[Row]:
        """What has to be added to the figures of the day of its issue."""
        key: Row = {"day": self.day, "type_id": self.type_id, "currency": self.currency}
        if self.old is None:
            yield {**key, "vouchers_issued": 1, "vouchers_free": int(not self.is_sold)}
        else:
            yield {**key, f"vouchers_{self.old.status}": -1, "vouchers_redeemed": -self._redeemed(self.old)}
        yield {**key, f"vouchers_{self.new.status}": 1, "vouchers_redeemed": self._redeemed(self.new)}

    def unused_differences(self) -> Iterator[tuple[UnusedKey, Decimal]]:
        """What has to be added to UnusedValue."""
        for note, sign in ((self.old, -1), (self.new, 1)):
            if note and note.status in WITH_VALUE:
                key = (note.expires_on, self.type_id, self.currency, self.total_uses, self.is_sold)
                yield key, sign * self.face_value * note.uses_remaining

    def _redeemed(self, note: Note) -> int:
        return int(note.uses_remaining < self.total_uses)


def changed_notes(since: datetime, now: datetime) -> Iterator[list[ChangedVoucher]]:
    """All vouchers that may have changed since, as they are at `now`, in portions: a batch may have a million."""
    ids = sorted(pk for (pk,) in changes.changed_vouchers(since, now))
    for start in range(0, len(ids), PORTION):
        yield list(_with_notes(ids[start : start + PORTION], now))


def _with_notes(ids: list[int], now: datetime) -> Iterator[ChangedVoucher]:
    vouchers = Voucher.objects.filter(pk__in=ids).order_by()
    columns = vouchers.values_list(
        "pk",
        "user_id",
        local_day("purchase_date"),
        "voucher_type_id",
        "currency",
        flag(Q(batch__isnull=True)),
        "face_value",
        "total_uses",
        changes.status_now(now),
        "uses_remaining",
        local_day("expiry_date"),
        "counted__status",
        "counted__uses_remaining",
        "counted__expires_on",
    )
    for *terms, status, uses, expires_on, old_status, old_uses, old_expires_on in columns:
        new = Note(status, uses, expires_on)
        old = None if old_status is None else Note(old_status, old_uses, old_expires_on)
        yield ChangedVoucher(*(*terms, new, old))
