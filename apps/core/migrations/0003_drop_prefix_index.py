"""The index for prefixes of the results of jobs: outside a transaction it was made after it had been dropped."""

from django.db import migrations

from apps.core.index_operations import LIFT_TIME_LIMITS, RESTORE_TIME_LIMITS, DropPrefixIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('core', '0002_data_exports'),
    ]

    operations = [
        LIFT_TIME_LIMITS,
        DropPrefixIndex('jobresult', 'name'),
        RESTORE_TIME_LIMITS,
    ]
