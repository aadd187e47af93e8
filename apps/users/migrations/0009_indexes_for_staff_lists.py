"""Indexes of the list of users for staff: staff, and accounts that are not active."""

from django.db import migrations, models

from apps.core.index_operations import LIFT_TIME_LIMITS, RESTORE_TIME_LIMITS, AddIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('users', '0008_date_joined_index'),
    ]

    operations = [
        LIFT_TIME_LIMITS,
        AddIndex(
            model_name='user',
            index=models.Index(condition=models.Q(('is_staff', True)), fields=['is_staff', 'date_joined'], name='users_staff'),
        ),
        AddIndex(
            model_name='user',
            index=models.Index(condition=models.Q(('is_active', False)), fields=['is_active', 'date_joined'], name='users_inactive'),
        ),
        RESTORE_TIME_LIMITS,
    ]
