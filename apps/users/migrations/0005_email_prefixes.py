"""No index for the beginnings of e-mail addresses: nothing looks for them."""

from django.db import migrations

from apps.core.index_operations import LIFT_TIME_LIMITS, RESTORE_TIME_LIMITS, DropPrefixIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [('users', '0004_database_defaults')]

    operations = [LIFT_TIME_LIMITS, DropPrefixIndex('user', 'email'), RESTORE_TIME_LIMITS]
