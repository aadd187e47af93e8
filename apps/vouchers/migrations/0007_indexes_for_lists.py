"""Lists through indexes alone, and codes by their last four symbols.

New indexes first, old ones last, and on PostgreSQL without keeping anybody from reading or writing meanwhile. Stopped in
the middle, it can be run again.
"""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

import apps.vouchers.lookups


def concurrently(schema_editor):
    return schema_editor.connection.vendor == "postgresql"


def drop_if_there(schema_editor, name):
    way = "CONCURRENTLY " if concurrently(schema_editor) else ""
    schema_editor.execute(f"DROP INDEX {way}IF EXISTS {schema_editor.quote_name(name)}")


def take_as_long_as_it_takes(apps, schema_editor):
    """An index that is made beside the work of others waits for their transactions; nobody waits for it."""
    if concurrently(schema_editor):
        schema_editor.execute("SET lock_timeout = 0")
        schema_editor.execute("SET statement_timeout = 0")


def keep_to_the_limits(apps, schema_editor):
    if concurrently(schema_editor):
        schema_editor.execute("RESET lock_timeout")
        schema_editor.execute("RESET statement_timeout")


class AddIndex(AddIndexConcurrently):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        drop_if_there(schema_editor, self.index.name)  # of a run that was stopped: PostgreSQL leaves it, of no use
        operation = super() if concurrently(schema_editor) else super(AddIndexConcurrently, self)
        operation.database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        drop_if_there(schema_editor, self.index.name)


class RemoveIndex(RemoveIndexConcurrently):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        drop_if_there(schema_editor, self.name)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        drop_if_there(schema_editor, self.name)
        operation = super() if concurrently(schema_editor) else super(RemoveIndexConcurrently, self)
        operation.database_backwards(app_label, schema_editor, from_state, to_state)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("vouchers", "0006_staff_actions")]

    operations = [
        migrations.RunPython(take_as_long_as_it_takes, keep_to_the_limits),
        AddIndex(
            model_name='voucher',
            index=models.Index(fields=['user', '-purchase_date', '-id', 'is_active', 'uses_remaining', 'expiry_date', 'voucher_type', 'service_type'], name='vouchers_list_by_purchase'),
        ),
        AddIndex(
            model_name='voucher',
            index=models.Index(fields=['user', 'expiry_date', 'id', 'is_active', 'uses_remaining', 'voucher_type', 'service_type'], name='vouchers_list_by_expiry'),
        ),
        AddIndex(
            model_name='voucher',
            index=models.Index(fields=['-purchase_date', '-id'], name='vouchers_newest_first'),
        ),
        AddIndex(
            model_name='voucher',
            index=models.Index(apps.vouchers.lookups.LastFour('code'), name='vouchers_by_last_four'),
        ),
        AddIndex(
            model_name='voucherusage',
            index=models.Index(fields=['user', '-used_at', '-id', 'service_type'], name='usages_list_by_time'),
        ),
        AddIndex(
            model_name='voucherusage',
            index=models.Index(fields=['-used_at', '-id'], name='usages_newest_first'),
        ),
        RemoveIndex(model_name='voucher', name='vouchers_of_user_by_purchase'),
        RemoveIndex(model_name='voucher', name='vouchers_of_user_by_expiry'),
        RemoveIndex(model_name='voucher', name='vouchers_by_purchase'),
        RemoveIndex(model_name='voucherusage', name='usages_of_user_by_time'),
        RemoveIndex(model_name='voucherusage', name='usages_by_time'),
        migrations.RunPython(keep_to_the_limits, take_as_long_as_it_takes),
    ]
