"""Vouchers from before get their holds and the first row of their history."""

from django.db import migrations


def fill(apps, schema_editor):
    Voucher = apps.get_model("vouchers", "Voucher")
    VoucherEvent = apps.get_model("vouchers", "VoucherEvent")
    held = Voucher.objects.filter(is_active=False, holds="")
    for reason in ("refund_pending", "refunded", "disputed", "withdrawn"):
        held.filter(inactive_reason=reason).update(holds=reason)
    held.filter(inactive_reason="by_staff").update(holds="suspended")
    events = []
    told = VoucherEvent.objects.filter(kind="issued").values("voucher")  # by a run before, or since
    untold = Voucher.objects.exclude(pk__in=told).values_list("pk", "purchase_date")
    for pk, issued_at in untold.iterator(chunk_size=2000):
        events.append(VoucherEvent(voucher_id=pk, kind="issued", at=issued_at))
        if len(events) == 2000:
            VoucherEvent.objects.bulk_create(events)
            events = []
    VoucherEvent.objects.bulk_create(events)


class Migration(migrations.Migration):
    dependencies = [("vouchers", "0002_holds_history_batches")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
