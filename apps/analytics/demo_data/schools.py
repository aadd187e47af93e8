"""Batches of the demo history: schools get vouchers from staff, and their pupils redeem some of them."""

from datetime import date, datetime, timedelta
from random import Random
from typing import Final

from apps.users.models import User
from apps.vouchers import services
from apps.vouchers.models import Batch, BatchExport, VoucherType

from . import redemptions, rhythm
from .people import People
from .purchases import voucher_terms
from .rows import Rows
from .timeline import Timeline

SIZES: Final = (20, 30, 40, 60, 80)


def add_batch(
    rows: Rows,
    people: People,
    random: Random,
    school: User,
    voucher_type: VoucherType,
    day: date,
    end: datetime,
) -> None:
    """A batch for a school, issued and exported on that local day; nothing if that is after the end."""
    at = rhythm.moment_on(random, day)
    if at + timedelta(hours=1) > end:
        return
    terms, quantity = services.terms_of(voucher_type), random.choice(SIZES)
    batch = Batch(
        label=f"{school.last_name}, {at:%B %Y}",
        voucher_type=voucher_type,
        type_name=terms.type_name,
        owner=school,
        quantity=quantity,
        service_type=terms.service_type,
        face_value=terms.face_value,
        currency=terms.currency,
        validity_days=terms.validity_days,
        max_uses=terms.max_uses,
        created_at=at,
        created_by=people.staff,
        completed_at=at + timedelta(seconds=1),
    )
    rows.batches.append(batch)
    rows.exports.append(
        BatchExport(batch=batch, at=at + timedelta(minutes=5), actor=people.staff, codes=quantity)
    )
    timeline = Timeline(rows, random, end, people.staff)
    columns = {**voucher_terms(voucher_type, school, at), "batch": batch}
    vouchers = timeline.issue(quantity, columns, at, actor=people.staff, reason=f"Batch {batch.label}")
    for voucher in vouchers:
        # Handed out over the following weeks, and not all of them.
        if random.random() < 0.75:
            handed_out = at + timedelta(days=random.uniform(1, 60))
            redemptions.plan(timeline, voucher, None, people, handed_out)
    timeline.run()
