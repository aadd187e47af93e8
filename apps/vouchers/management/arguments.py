"""What commands call things by: a type by its name or number, a batch by its label or number."""

from django.core.management.base import CommandError

from apps.vouchers.models import Batch, VoucherType


def type_called(text: str) -> VoucherType:
    """The voucher type with this name or number. Raises CommandError if there is none, or one for each."""
    types = set(VoucherType.objects.filter(name=text))
    if text.isascii() and text.isdecimal() and int(text) < 2**63:
        types |= set(VoucherType.objects.filter(pk=int(text)))
    if len(types) > 1:
        raise CommandError(f"“{text}” is the name of one type and the number of another: rename the first.")
    if not types:
        names = "".join(f"\n  {kind.pk}: {kind.name}" for kind in VoucherType.objects.all()[:50])
        raise CommandError(f"There is no voucher type “{text}”. There are:{names or ' none'}")
    return types.pop()


def batch_called(text: str) -> Batch:
    """The batch with this label or, if none has it, this number. Raises CommandError if there is none."""
    batch = Batch.objects.filter(label=text).first()
    if batch is None and text.isascii() and text.isdecimal() and int(text) < 2**63:
        batch = Batch.objects.filter(pk=int(text)).first()
    if batch is None:
        raise CommandError(f"There is no batch “{text}”.")
    return batch
