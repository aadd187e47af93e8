"""Giving money back: the vouchers are held first, then Stripe is asked, then they are voided or let go.

A refund is requested (by the buyer, or by staff), approved or rejected by staff, sent to Stripe, and ends as
Stripe says. One that was made in Stripe's dashboard is taken over by the books as it is.
"""
