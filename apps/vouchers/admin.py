"""Registers the screens for staff."""

from django.contrib import admin

from .backoffice import batches, history, types, vouchers
from .models import Batch, Voucher, VoucherEvent, VoucherType, VoucherUsage

admin.site.register(VoucherType, types.VoucherTypeAdmin)
admin.site.register(Voucher, vouchers.VoucherAdmin)
admin.site.register(VoucherUsage, history.VoucherUsageAdmin)
admin.site.register(VoucherEvent, history.VoucherEventAdmin)
admin.site.register(Batch, batches.BatchAdmin)
