"""Indexes of when refunds and disputes changed and ended, for the figures of the days on which they did."""

from django.db import migrations, models

from apps.core.index_operations import LIFT_TIME_LIMITS, RESTORE_TIME_LIMITS, AddIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('payments', '0012_disputes_due_and_failed_refunds'),
    ]

    operations = [
        LIFT_TIME_LIMITS,
        AddIndex(
            model_name='refund',
            index=models.Index(fields=['updated_at'], name='payments_refunds_by_change'),
        ),
        AddIndex(
            model_name='refund',
            index=models.Index(condition=models.Q(('status', 'succeeded')), fields=['finished_at'], name='payments_refunds_paid'),
        ),
        AddIndex(
            model_name='dispute',
            index=models.Index(fields=['updated_at'], name='payments_disputes_by_change'),
        ),
        AddIndex(
            model_name='dispute',
            index=models.Index(fields=['closed_at'], name='payments_disputes_by_end'),
        ),
        RESTORE_TIME_LIMITS,
    ]
