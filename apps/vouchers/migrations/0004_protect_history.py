"""What is held has a reason; and the history, reversals and exports are append-only, whoever writes."""

from django.db import migrations, models

APPEND_ONLY = ("vouchers_voucherevent", "vouchers_usagereversal", "vouchers_batchexport")


def protect(apps, schema_editor):
    """A trigger that refuses each UPDATE and DELETE. On SQLite, altering such a table drops it: make it anew."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "CREATE FUNCTION vouchers_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation'; "
            "END $$",
            params=None,
        )
        for table in APPEND_ONLY:
            schema_editor.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION vouchers_refuse_change()"
            )
        return
    for table in APPEND_ONLY:
        for action in ("UPDATE", "DELETE"):
            schema_editor.execute(
                f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def unprotect(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table in APPEND_ONLY:
            schema_editor.execute(f"DROP TRIGGER {table}_append_only ON {table}")
        schema_editor.execute("DROP FUNCTION vouchers_refuse_change()")
        return
    for table in APPEND_ONLY:
        for action in ("update", "delete"):
            schema_editor.execute(f"DROP TRIGGER {table}_no_{action}")


class Migration(migrations.Migration):
    dependencies = [("vouchers", "0003_fill_holds_and_history")]

    operations = [
        migrations.AddConstraint(
            model_name='voucher',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('holds', ''), ('inactive_reason', ''), ('is_active', True)), models.Q(('inactive_reason__in', ['refund_pending', 'refunded', 'disputed', 'withdrawn', 'by_staff']), ('is_active', False), models.Q(('holds', ''), _negated=True)), _connector='OR'), name='vouchers_voucher_inactive_with_a_reason'),
        ),
        migrations.RunPython(protect, unprotect),
    ]
