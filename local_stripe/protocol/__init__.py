"""Stripe's conventions: errors, forms, parameters, keys, idempotency, pages, expansion, faults."""
