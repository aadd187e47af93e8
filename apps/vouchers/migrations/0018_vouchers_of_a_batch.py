"""An index of the vouchers of a batch in order, in place of the one of all vouchers by batch: most have none."""

import django.db.models.deletion
from django.db import migrations, models

from apps.core.index_operations import LIFT_TIME_LIMITS, RESTORE_TIME_LIMITS, AddIndex, DropFieldIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('vouchers', '0017_batch_changes'),
    ]

    operations = [
        LIFT_TIME_LIMITS,
        AddIndex(
            model_name='voucher',
            index=models.Index(condition=models.Q(('batch__isnull', False)), fields=['batch', 'id'], name='vouchers_of_a_batch'),
        ),
        DropFieldIndex(
            model_name='voucher',
            name='batch',
            field=models.ForeignKey(blank=True, db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='vouchers', to='vouchers.batch'),
        ),
        RESTORE_TIME_LIMITS,
    ]
