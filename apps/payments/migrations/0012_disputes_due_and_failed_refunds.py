"""Until when a dispute can be answered, and which refunds failed and wait for a person."""

from django.conf import settings
from django.db import migrations, models

from apps.core.index_operations import LIFT_TIME_LIMITS, RESTORE_TIME_LIMITS, AddIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('payments', '0011_indexes_for_writes'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='dispute',
            name='respond_by',
            field=models.DateTimeField(blank=True, help_text='Until when the bank takes evidence, as Stripe says.', null=True),
        ),
        migrations.AddField(
            model_name='refund',
            name='acknowledged_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='When staff said of a failed refund that it is settled in another way.', null=True),
        ),
        LIFT_TIME_LIMITS,
        AddIndex(
            model_name='refund',
            index=models.Index(condition=models.Q(('acknowledged_at', None), ('status', 'failed')), fields=['finished_at'], name='payments_refunds_failed'),
        ),
        RESTORE_TIME_LIMITS,
    ]
