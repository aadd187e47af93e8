"""Every earlier sale gets a receipt, numbered in the order of completion, with the seller that is set today.

Of tax nothing is known of then, so none is named. The version before goes on completing sales without a receipt: these
get one when it is first printed, or by the hourly job.
"""

from collections import defaultdict

from django.conf import settings
from django.db import migrations, transaction
from django.db.models import Exists, Max, OuterRef, Q

PAID = ("completed", "refunded")
CHUNK = 1000  # some tenths of a second


def fill(apps, schema_editor):
    """By chunks, each a transaction of its own: stopped in the middle, it can be run again."""
    receipts = apps.get_model("payments", "Receipt").objects
    sales = apps.get_model("payments", "Transaction").objects
    lacking = (
        sales.filter(~Exists(receipts.filter(transaction=OuterRef("pk"))), status__in=PAID)
        .select_related("voucher_type")
        .order_by("completed_at", "pk")
    )
    after = None
    while True:
        with transaction.atomic():
            if schema_editor.connection.vendor == "postgresql":
                # Run again, it first passes by all that were done: with millions, for longer than a request may take.
                schema_editor.execute("SET LOCAL statement_timeout = 0")
            rest = lacking
            if after is not None:
                at, number = after
                rest = lacking.filter(
                    Q(completed_at__gt=at) | Q(completed_at=at, pk__gt=number), completed_at__gte=at
                )
            # One that is locked is left to the job.
            chunk = list(rest.select_for_update(of=("self",), skip_locked=True)[:CHUNK])
            if not chunk:
                break
            after = (chunk[-1].completed_at, chunk[-1].pk)
            write(apps, chunk)


def write(apps, chunk):
    """Insert the receipts of these sales, under the numbers that come next."""
    receipt = apps.get_model("payments", "Receipt")
    counters = apps.get_model("payments", "ReceiptCounter").objects
    last = receipt.objects.aggregate(last=Max("number"))["last"] or 0
    counters.get_or_create(pk=1, defaults={"last_number": last})
    counter = counters.select_for_update().get(pk=1)
    endings = defaultdict(list)
    lines = apps.get_model("payments", "SoldVoucher").objects.filter(transaction__in=chunk)
    for sale, code in lines.order_by("line_no").values_list("transaction_id", "voucher__code"):
        endings[sale].append(code[-4:])
    receipt.objects.bulk_create(
        receipt(
            transaction=sale,
            number=number,
            paid_at=sale.completed_at,
            time_zone=settings.TIME_ZONE,
            shop_name=settings.SHOP_NAME,
            contact=settings.SHOP_CONTACT,
            seller_name=settings.SHOP_SELLER.name,
            seller_address=settings.SHOP_SELLER.address,
            seller_tax_number=settings.SHOP_SELLER.tax_number,
            buyer_name=sale.buyer_name,
            buyer_email=sale.buyer_email,
            item=sale.type_name or sale.voucher_type.name,
            detail=detail(sale),
            quantity=sale.quantity,
            unit_price=sale.unit_price,
            amount=sale.amount,
            currency=sale.currency,
            code_endings=" ".join(endings[sale.pk]),
        )
        for number, sale in enumerate(chunk, start=counter.last_number + 1)
    )
    counter.last_number += len(chunk)
    counter.save()


def detail(sale):
    service = sale.service_type.replace("_", " ").replace("-", " ").strip()
    uses = "1 use" if sale.max_uses == 1 else f"{sale.max_uses:,} uses"
    return f"{service[:1].upper()}{service[1:]}, {uses} each"


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("payments", "0017_receipts"), ("vouchers", "0001_initial")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
