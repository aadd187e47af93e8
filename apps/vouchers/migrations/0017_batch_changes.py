"""Permissions to change whole batches and to withdraw services, and "reassigned" among the kinds of events.

The constraint on the kinds is exchanged without reading the history under a lock: the new one holds for new rows at
once, and is then validated beside the work of others.
"""

from django.db import migrations, models

from apps.core.index_operations import LIFT_TIME_LIMITS, RESTORE_TIME_LIMITS

TABLE, NAME = 'vouchers_voucherevent', 'vouchers_event_kind_known'
BEFORE = ['issued', 'held', 'released', 'voided', 'suspended', 'extended', 'reversed', 'reissued', 'reminded', 'closed']
AFTER = [*BEFORE[:8], 'reassigned', *BEFORE[8:]]


def known(kinds):
    return models.CheckConstraint(condition=models.Q(('kind__in', kinds)), name=NAME)


def exchange(schema_editor, model, after):
    """One constraint in place of the other. On SQLite that makes the table anew, which drops its triggers."""
    if schema_editor.connection.vendor == 'postgresql':
        kinds = ', '.join(f"'{kind}'" for kind in after)
        schema_editor.execute(
            f'ALTER TABLE {TABLE} DROP CONSTRAINT IF EXISTS {NAME}, '
            f'ADD CONSTRAINT {NAME} CHECK (kind IN ({kinds})) NOT VALID'
        )
        schema_editor.execute(f'ALTER TABLE {TABLE} VALIDATE CONSTRAINT {NAME}')
        return
    others = [each for each in model._meta.constraints if each.name != NAME]
    model._meta.constraints = [*others, known(after)]
    schema_editor.add_constraint(model, known(after))
    for action in ('UPDATE', 'DELETE'):
        schema_editor.execute(
            f'CREATE TRIGGER {TABLE}_no_{action.lower()} BEFORE {action} ON {TABLE} '
            f"BEGIN SELECT RAISE(ABORT, '{TABLE} is append-only'); END"
        )


def forwards(apps, schema_editor):
    exchange(schema_editor, apps.get_model('vouchers', 'VoucherEvent'), AFTER)


def backwards(apps, schema_editor):
    exchange(schema_editor, apps.get_model('vouchers', 'VoucherEvent'), BEFORE)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('vouchers', '0016_export_permissions'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='vouchertype',
            options={'ordering': ('name', 'id'), 'permissions': (('withdraw_vouchertype', 'Can withdraw services'),)},
        ),
        migrations.AlterModelOptions(
            name='batch',
            options={'ordering': ('-created_at', '-id'), 'permissions': (('export_codes', 'Can export the full codes of a batch'), ('hold_batch', 'Can hold and release whole batches'), ('void_batch', 'Can void whole batches'), ('reassign_batch', 'Can give whole batches to another owner')), 'verbose_name_plural': 'batches'},
        ),
        migrations.AlterField(
            model_name='voucherevent',
            name='kind',
            field=models.CharField(choices=[('issued', 'Issued'), ('held', 'Held'), ('released', 'Released'), ('voided', 'Voided'), ('suspended', 'Suspended'), ('extended', 'Extended'), ('reversed', 'Reversed'), ('reissued', 'Reissued'), ('reassigned', 'Reassigned'), ('reminded', 'Reminded'), ('closed', 'Closed')], max_length=10),
        ),
        LIFT_TIME_LIMITS,
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(forwards, backwards)],
            state_operations=[
                migrations.RemoveConstraint(model_name='voucherevent', name=NAME),
                migrations.AddConstraint(model_name='voucherevent', constraint=known(AFTER)),
            ],
        ),
        RESTORE_TIME_LIMITS,
    ]
