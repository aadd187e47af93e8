"""Stands before the package of this name, which the development requirements bring: production has none.

Stripe's library would load it at its start, in the product and in the twin, with memory that no deployment gives to it.
"""

raise ImportError("not in production")
