"""A change to a table that requests read, as a release would make it."""

from django.db import migrations


class Migration(migrations.Migration):
    initial = True

    operations = [
        migrations.RunSQL(
            "ALTER TABLE users_userprofile ADD COLUMN of_a_test integer",
            "ALTER TABLE users_userprofile DROP COLUMN of_a_test",
        )
    ]
