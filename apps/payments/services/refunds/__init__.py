"""Giving money back: the vouchers are held first, then Stripe refunds, then they are voided or released.

A refund is requested (by the buyer, or by staff), approved or rejected by staff, sent to Stripe, and ends as
Stripe says. A refund from Stripe's dashboard is taken over by the books as it is.
"""
