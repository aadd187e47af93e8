"""Who issued a batch where nobody was signed in; and an index less: others begin with the same column."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('vouchers', '0007_indexes_for_lists'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='batch',
            name='note',
            field=models.CharField(blank=True, editable=False, help_text='By which way, and by whom if by no staff.', max_length=200),
        ),
        migrations.AlterField(
            model_name='batchexport',
            name='note',
            field=models.CharField(blank=True, help_text='By which way.', max_length=200),
        ),
        migrations.AlterField(
            model_name='voucher',
            name='user',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='vouchers', to=settings.AUTH_USER_MODEL, verbose_name='owner'),
        ),
    ]
