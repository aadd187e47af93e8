"""Defaults in the database for columns that came later: the version before them writes rows without them."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0005_goodwill'),
    ]

    operations = [
        migrations.AlterField(
            model_name='transaction',
            name='amount_refunding',
            field=models.DecimalField(db_default=0, decimal_places=2, default=0, help_text='Refunds that were asked for and have not ended.', max_digits=12),
        ),
    ]
