"""Fewer indexes to write to: those of foreign keys that others begin with, and those that nothing reads by."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from apps.core.index_operations import (
    LIFT_TIME_LIMITS,
    RESTORE_TIME_LIMITS,
    DropFieldIndex,
    DropPrefixIndex,
    RemoveIndex,
)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('payments', '0010_automatic_refunds'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        LIFT_TIME_LIMITS,
        RemoveIndex(model_name='refund', name='payments_refunds_of_user'),
        DropPrefixIndex('transaction', 'service_type'),
        DropPrefixIndex('transaction', 'status'),
        DropPrefixIndex('transaction', 'stripe_payment_intent_id'),
        DropPrefixIndex('refund', 'stripe_refund_id'),
        DropPrefixIndex('dispute', 'stripe_dispute_id'),
        DropPrefixIndex('stripeevent', 'stripe_id'),
        DropPrefixIndex('stripeevent', 'object_id'),
        DropFieldIndex(
            model_name='idempotencykey',
            name='refund',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='payments.refund'),
        ),
        DropFieldIndex(
            model_name='idempotencykey',
            name='transaction',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='payments.transaction'),
        ),
        DropFieldIndex(
            model_name='idempotencykey',
            name='user',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        DropFieldIndex(
            model_name='refundedvoucher',
            name='refund',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='lines', to='payments.refund'),
        ),
        DropFieldIndex(
            model_name='soldvoucher',
            name='transaction',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='sold_vouchers', to='payments.transaction'),
        ),
        DropFieldIndex(
            model_name='transaction',
            name='service_type',
            field=models.SlugField(db_index=False),
        ),
        DropFieldIndex(
            model_name='transaction',
            name='user',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='transactions', to=settings.AUTH_USER_MODEL),
        ),
        RESTORE_TIME_LIMITS,
    ]
