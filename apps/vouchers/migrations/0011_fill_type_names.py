"""What was issued before keeps the name that its type has today.

The version before goes on writing rows without: an empty name stands for that of the type.
"""

from django.db import migrations, transaction
from django.db.models import OuterRef, Subquery

CHUNK = 2000  # some tenths of a second, for which nobody else can change these rows


def fill(apps, schema_editor):
    """By chunks, each a transaction of its own: stopped in the middle, it can be run again."""
    names = apps.get_model("vouchers", "VoucherType").objects.filter(pk=OuterRef("voucher_type_id"))
    for model in ("Batch", "Voucher"):
        rows = apps.get_model("vouchers", model).objects.order_by("pk")
        last = 0
        while True:
            with transaction.atomic():
                # Locked by primary key, as everywhere.
                locked = rows.select_for_update(no_key=True).filter(pk__gt=last)
                ids = list(locked.values_list("pk", flat=True)[:CHUNK])
                if not ids:
                    break
                chunk = rows.filter(pk__gt=last, pk__lte=ids[-1], type_name="").order_by()
                chunk.update(type_name=Subquery(names.values("name")[:1]))
                last = ids[-1]


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("vouchers", "0010_type_names")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
