"""A note on every export says by which way."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('vouchers', '0007_indexes_for_lists'),
    ]

    operations = [
        migrations.AlterField(
            model_name='batchexport',
            name='note',
            field=models.CharField(blank=True, help_text='By which way.', max_length=200),
        ),
    ]
