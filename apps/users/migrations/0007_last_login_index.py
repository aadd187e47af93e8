"""An index of last sign-ins, for the figures of who was active."""

from django.db import migrations, models

from apps.core.index_operations import LIFT_TIME_LIMITS, RESTORE_TIME_LIMITS, AddIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("users", "0006_manage_staff")]

    operations = [
        LIFT_TIME_LIMITS,
        AddIndex(
            model_name="user",
            index=models.Index(fields=["last_login"], name="users_by_last_login"),
        ),
        RESTORE_TIME_LIMITS,
    ]
