"""Fewer indexes to write to: what nothing reads by goes, and `uses_remaining` leaves those of the lists.

Where no index has a column that changes, PostgreSQL puts the new version of the row beside the old one and writes to no
index (a HOT update). That is redeeming now. For the new version there must be room on the same page: a tenth of each
new page is kept free. A full one has room after the first rows have left it, so what is there is not written anew.

Autovacuum comes sooner. Until it has marked a page as visible to all, counting a list has to look at its rows; and what
an update in place removes by itself no longer counts towards the fifth of all rows that it waits for.

New indexes first, old ones last: the version before finds either.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from apps.core.index_operations import (
    LIFT_TIME_LIMITS,
    RESTORE_TIME_LIMITS,
    AddIndex,
    DropFieldIndex,
    DropPrefixIndex,
    RemoveIndex,
)


SETTINGS = {
    # Room for the new versions of five rows on a page of some fifty; the next update on it removes the old ones.
    "vouchers_voucher": {
        "fillfactor": "90",
        "autovacuum_vacuum_scale_factor": "0.01",
        "autovacuum_vacuum_insert_scale_factor": "0.02",
    },
    "vouchers_voucherusage": {"autovacuum_vacuum_insert_scale_factor": "0.02"},
}


def set_storage(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table, settings_of_table in SETTINGS.items():
            values = ", ".join(f"{name} = {value}" for name, value in settings_of_table.items())
            schema_editor.execute(f"ALTER TABLE {table} SET ({values})")


def reset_storage(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table, settings_of_table in SETTINGS.items():
            schema_editor.execute(f"ALTER TABLE {table} RESET ({', '.join(settings_of_table)})")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('vouchers', '0011_fill_type_names'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunPython(set_storage, reset_storage),
        LIFT_TIME_LIMITS,
        AddIndex(
            model_name='voucher',
            index=models.Index(fields=['user', '-purchase_date', '-id', 'is_active', 'expiry_date', 'voucher_type', 'service_type'], name='vouchers_owned_by_purchase'),
        ),
        AddIndex(
            model_name='voucher',
            index=models.Index(fields=['user', 'expiry_date', 'id', 'is_active', 'voucher_type', 'service_type'], name='vouchers_owned_by_expiry'),
        ),
        RemoveIndex(model_name='voucher', name='vouchers_list_by_purchase'),
        RemoveIndex(model_name='voucher', name='vouchers_list_by_expiry'),
        DropPrefixIndex('voucher', 'code'),
        DropPrefixIndex('voucher', 'service_type'),
        DropPrefixIndex('voucherusage', 'service_type'),
        DropPrefixIndex('vouchertype', 'name'),
        DropPrefixIndex('vouchertype', 'service_type'),
        DropPrefixIndex('batch', 'label'),
        DropPrefixIndex('batch', 'service_type'),
        DropFieldIndex(
            model_name='voucher',
            name='service_type',
            field=models.SlugField(db_index=False, editable=False),
        ),
        DropFieldIndex(
            model_name='voucherusage',
            name='service_type',
            field=models.SlugField(db_index=False),
        ),
        DropFieldIndex(
            model_name='voucherusage',
            name='user',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='usages', to=settings.AUTH_USER_MODEL, verbose_name='redeemed by'),
        ),
        DropFieldIndex(
            model_name='voucherusage',
            name='voucher',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='usages', to='vouchers.voucher'),
        ),
        DropFieldIndex(
            model_name='vouchertype',
            name='service_type',
            field=models.SlugField(db_index=False, help_text='What a voucher of this type is redeemed for.'),
        ),
        DropFieldIndex(
            model_name='batch',
            name='service_type',
            field=models.SlugField(db_index=False),
        ),
        RESTORE_TIME_LIMITS,
    ]
