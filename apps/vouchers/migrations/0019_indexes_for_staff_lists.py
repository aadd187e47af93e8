"""Indexes of the lists for staff: inactive vouchers by why, and events by day."""

from django.db import migrations, models

from apps.core.index_operations import LIFT_TIME_LIMITS, RESTORE_TIME_LIMITS, AddIndex, BlockRangeIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('vouchers', '0018_vouchers_of_a_batch'),
    ]

    operations = [
        LIFT_TIME_LIMITS,
        AddIndex(
            model_name='voucher',
            index=models.Index(condition=models.Q(('is_active', False)), fields=['inactive_reason', '-purchase_date', '-id'], name='vouchers_inactive'),
        ),
        AddIndex(
            model_name='voucherevent',
            index=BlockRangeIndex(fields=['at'], name='voucher_events_by_day'),
        ),
        RESTORE_TIME_LIMITS,
    ]
