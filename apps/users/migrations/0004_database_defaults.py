"""Defaults in the database for columns that came later: the version before them writes rows without them."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('users', '0003_expiry_reminders'),
    ]

    operations = [
        migrations.AlterField(
            model_name='user',
            name='sessions_epoch',
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AlterField(
            model_name='userprofile',
            name='expiry_reminders',
            field=models.BooleanField(db_default=True, default=True, help_text='Mail before vouchers expire.'),
        ),
    ]
