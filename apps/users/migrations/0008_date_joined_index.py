"""An index of when accounts were created, for the list of people and the figures of new ones."""

from django.db import migrations, models

from apps.core.index_operations import LIFT_TIME_LIMITS, RESTORE_TIME_LIMITS, AddIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("users", "0007_last_login_index")]

    operations = [
        LIFT_TIME_LIMITS,
        AddIndex(
            model_name="user",
            index=models.Index(fields=["-date_joined", "-id"], name="users_newest_first"),
        ),
        RESTORE_TIME_LIMITS,
    ]
