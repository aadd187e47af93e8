"""Lists through indexes alone, and codes by their last four symbols.

The table is locked against writing while an index is made: seconds for a million vouchers.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.vouchers.lookups


class Migration(migrations.Migration):

    dependencies = [
        ('vouchers', '0006_staff_actions'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='voucher',
            name='vouchers_of_user_by_purchase',
        ),
        migrations.RemoveIndex(
            model_name='voucher',
            name='vouchers_of_user_by_expiry',
        ),
        migrations.RemoveIndex(
            model_name='voucher',
            name='vouchers_by_purchase',
        ),
        migrations.RemoveIndex(
            model_name='voucherusage',
            name='usages_of_user_by_time',
        ),
        migrations.RemoveIndex(
            model_name='voucherusage',
            name='usages_by_time',
        ),
        migrations.AddIndex(
            model_name='voucher',
            index=models.Index(fields=['user', '-purchase_date', '-id', 'is_active', 'uses_remaining', 'expiry_date', 'voucher_type', 'service_type'], name='vouchers_of_user_by_purchase'),
        ),
        migrations.AddIndex(
            model_name='voucher',
            index=models.Index(fields=['user', 'expiry_date', 'id', 'is_active', 'uses_remaining', 'voucher_type', 'service_type'], name='vouchers_of_user_by_expiry'),
        ),
        migrations.AddIndex(
            model_name='voucher',
            index=models.Index(fields=['-purchase_date', '-id'], name='vouchers_by_purchase'),
        ),
        migrations.AddIndex(
            model_name='voucher',
            index=models.Index(apps.vouchers.lookups.LastFour('code'), name='vouchers_by_last_four'),
        ),
        migrations.AddIndex(
            model_name='voucherusage',
            index=models.Index(fields=['user', '-used_at', '-id', 'service_type'], name='usages_of_user_by_time'),
        ),
        migrations.AddIndex(
            model_name='voucherusage',
            index=models.Index(fields=['-used_at', '-id'], name='usages_by_time'),
        ),
        migrations.AlterField(
            model_name='voucher',
            name='user',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='vouchers', to=settings.AUTH_USER_MODEL, verbose_name='owner'),
        ),
    ]
