"""Defaults in the database for columns that came later: the version before them writes rows without them."""

from django.db import migrations, models


def protect_again(apps, schema_editor):
    """SQLite made the table of exports anew, without the triggers of 0004."""
    if schema_editor.connection.vendor != "sqlite":
        return
    table = "vouchers_batchexport"
    for action in ("UPDATE", "DELETE"):
        schema_editor.execute(
            f"CREATE TRIGGER IF NOT EXISTS {table}_no_{action.lower()} BEFORE {action} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


class Migration(migrations.Migration):

    dependencies = [
        ('vouchers', '0008_notes_and_an_index_less'),
    ]

    operations = [
        migrations.RunPython(migrations.RunPython.noop, protect_again),
        migrations.AlterField(
            model_name='batch',
            name='note',
            field=models.CharField(blank=True, db_default='', default='', editable=False, help_text='By which way, and by whom if by no staff.', max_length=200),
        ),
        migrations.AlterField(
            model_name='batchexport',
            name='note',
            field=models.CharField(blank=True, db_default='', default='', help_text='By which way.', max_length=200),
        ),
        migrations.AlterField(
            model_name='voucher',
            name='holds',
            field=models.CharField(blank=True, db_default='', default='', editable=False, help_text='Every hold on it, the strongest first.', max_length=80),
        ),
        migrations.AlterField(
            model_name='voucher',
            name='uses_reversed',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='Uses that were given back.'),
        ),
        migrations.AlterField(
            model_name='voucherusage',
            name='request_hash',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=64),
        ),
        migrations.RunPython(protect_again, migrations.RunPython.noop),
    ]
