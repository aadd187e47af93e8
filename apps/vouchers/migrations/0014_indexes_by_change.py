"""Indexes of when a voucher may have changed, by which the figures find what happened since they were counted.

None has a column that redeeming changes: it stays a HOT update.
"""

from django.db import migrations, models

from apps.core.index_operations import LIFT_TIME_LIMITS, RESTORE_TIME_LIMITS, AddIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('vouchers', '0013_refusals'),
    ]

    operations = [
        LIFT_TIME_LIMITS,
        AddIndex(
            model_name='voucher',
            index=models.Index(fields=['expiry_date'], name='vouchers_by_expiry'),
        ),
        AddIndex(
            model_name='usagereversal',
            index=models.Index(fields=['reversed_at'], name='reversals_by_time'),
        ),
        AddIndex(
            model_name='voucherevent',
            index=models.Index(condition=models.Q(('kind__in', ('issued', 'reminded')), _negated=True), fields=['at'], name='voucher_changes_by_time'),
        ),
        RESTORE_TIME_LIMITS,
    ]
