"""Registers the screens for staff."""

from django.contrib import admin

from .backoffice import disputes, events, refunds, transactions
from .models import Dispute, Refund, StripeEvent, Transaction

admin.site.register(Transaction, transactions.TransactionAdmin)
admin.site.register(Refund, refunds.RefundAdmin)
admin.site.register(Dispute, disputes.DisputeAdmin)
admin.site.register(StripeEvent, events.StripeEventAdmin)
