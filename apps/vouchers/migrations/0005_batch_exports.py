"""Who may export a batch's codes, and by which way it was done."""

from django.db import migrations, models


def protect_again(apps, schema_editor):
    """SQLite made the table anew for its new column, without the triggers of 0004."""
    if schema_editor.connection.vendor != "sqlite":
        return
    table = "vouchers_batchexport"
    for action in ("UPDATE", "DELETE"):
        schema_editor.execute(
            f"CREATE TRIGGER IF NOT EXISTS {table}_no_{action.lower()} BEFORE {action} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


class Migration(migrations.Migration):
    dependencies = [("vouchers", "0004_protect_history")]

    operations = [
        migrations.RunPython(migrations.RunPython.noop, protect_again),
        migrations.AlterModelOptions(
            name="batch",
            options={
                "ordering": ("-created_at", "-id"),
                "permissions": (("export_codes", "Can export the full codes of a batch"),),
                "verbose_name_plural": "batches",
            },
        ),
        migrations.AddField(
            model_name="batchexport",
            name="note",
            field=models.CharField(
                blank=True, help_text="By which way, if nobody was signed in.", max_length=200
            ),
        ),
        migrations.RunPython(protect_again, migrations.RunPython.noop),
    ]
