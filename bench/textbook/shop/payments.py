"""The calls to Stripe, as its own tutorial has them."""

import stripe
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from .models import Transaction, Voucher

stripe.api_key = settings.STRIPE_SECRET_KEY
stripe.api_base = settings.STRIPE_API_BASE


def create_payment(user, voucher_type, quantity):
    """A pending transaction for a new payment intent, and the intent's client secret."""
    amount = voucher_type.price * quantity
    intent = stripe.PaymentIntent.create(
        amount=int(amount * 100),
        currency=voucher_type.currency.lower(),
        allowed_payment_method_types=["card"],
        metadata={"user_id": str(user.id), "voucher_type_id": str(voucher_type.id)},
    )
    payment = Transaction.objects.create(
        user=user,
        voucher_type=voucher_type,
        quantity=quantity,
        unit_price=voucher_type.price,
        amount=amount,
        currency=voucher_type.currency,
        stripe_payment_intent_id=intent.id,
    )
    return payment, intent.client_secret


def complete_payment(payment):
    """Issue the vouchers if Stripe says that the payment succeeded; whether it did. Two at once may both issue."""
    if payment.status == Transaction.Status.COMPLETED:
        return True
    intent = stripe.PaymentIntent.retrieve(payment.stripe_payment_intent_id)
    if intent.status != "succeeded":
        return False
    with transaction.atomic():
        payment.status = Transaction.Status.COMPLETED
        payment.completed_at = timezone.now()
        payment.save()
        Voucher.issue_for(payment)
    return True
