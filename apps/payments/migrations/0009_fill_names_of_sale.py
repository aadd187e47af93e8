"""What was sold before keeps the names that its type and its buyer have today.

Of accounts that were closed no name is kept. The version before goes on writing rows without: an empty name stands
for that of the type, or of the user.
"""

from django.db import migrations, transaction
from django.db.models import CharField, OuterRef, Subquery, Value
from django.db.models.functions import Concat, Trim

CLOSED = "@closed.invalid"
PAID = ("completed", "refunded")
CHUNK = 2000  # some tenths of a second, for which nobody else can change these rows


def fill(apps, schema_editor):
    """By chunks, each a transaction of its own: stopped in the middle, it can be run again."""
    names = apps.get_model("vouchers", "VoucherType").objects.filter(pk=OuterRef("voucher_type_id"))
    buyers = apps.get_model("users", "User").objects.filter(pk=OuterRef("user_id"))
    name = Trim(Concat("first_name", Value(" "), "last_name", output_field=CharField()))
    rows = apps.get_model("payments", "Transaction").objects.order_by("pk")
    last = 0
    while True:
        with transaction.atomic():
            ids = list(
                rows.select_for_update().filter(pk__gt=last).values_list("pk", flat=True)[:CHUNK]
            )
            if not ids:
                break
            chunk = rows.filter(pk__gt=last, pk__lte=ids[-1]).order_by()
            chunk.filter(type_name="").update(type_name=Subquery(names.values("name")[:1]))
            chunk.filter(status__in=PAID, buyer_email="").exclude(user__email__endswith=CLOSED).update(
                buyer_name=Subquery(buyers.values(full=name)[:1]),
                buyer_email=Subquery(buyers.values("email")[:1]),
            )
            last = ids[-1]


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("payments", "0008_names_of_sale"),
        ("vouchers", "0011_fill_type_names"),
        ("users", "0003_expiry_reminders"),
    ]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
