"""Indexes of the list of refunds for staff: by status, and by day."""

from django.db import migrations, models

from apps.core.index_operations import LIFT_TIME_LIMITS, RESTORE_TIME_LIMITS, AddIndex, BlockRangeIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('payments', '0018_fill_receipts'),
    ]

    operations = [
        LIFT_TIME_LIMITS,
        AddIndex(
            model_name='refund',
            index=models.Index(fields=['status', 'id'], name='payments_refunds_by_status'),
        ),
        AddIndex(
            model_name='refund',
            index=models.Index(fields=['origin', 'id'], name='payments_refunds_by_origin'),
        ),
        AddIndex(
            model_name='refund',
            index=BlockRangeIndex(fields=['created_at'], name='payments_refunds_by_day'),
        ),
        RESTORE_TIME_LIMITS,
    ]
