"""The admin's screens for payments, refunds, disputes and Stripe's events."""
