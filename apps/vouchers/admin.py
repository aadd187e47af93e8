"""Registers the screens for staff."""

from django.contrib import admin

from apps.core.backoffice import attention

from .backoffice import batches, code_exports, history, types, vouchers
from .models import Batch, CodeExportRequest, Voucher, VoucherEvent, VoucherType, VoucherUsage

admin.site.register(VoucherType, types.VoucherTypeAdmin)
admin.site.register(Voucher, vouchers.VoucherAdmin)
admin.site.register(VoucherUsage, history.VoucherUsageAdmin)
admin.site.register(VoucherEvent, history.VoucherEventAdmin)
admin.site.register(Batch, batches.BatchAdmin)
admin.site.register(CodeExportRequest, code_exports.CodeExportRequestAdmin)

attention.register(code_exports.EXPORTS_REQUESTED)
