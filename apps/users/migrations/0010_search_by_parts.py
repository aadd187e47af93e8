"""An index for the search of people by part of a name or an e-mail address, where PostgreSQL has pg_trgm.

Without it, and on SQLite, the search gives the same and reads all accounts.
"""

from django.db import migrations

from apps.core.index_operations import LIFT_TIME_LIMITS, RESTORE_TIME_LIMITS, AddTrigramIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [('users', '0009_indexes_for_staff_lists')]

    operations = [
        LIFT_TIME_LIMITS,
        AddTrigramIndex('user', ('email', 'first_name', 'last_name'), 'users_by_parts'),
        RESTORE_TIME_LIMITS,
    ]
