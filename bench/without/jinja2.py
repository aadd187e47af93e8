"""Stands before the package of this name, which the development requirements bring: production has none.

Django, or REST framework, would load it at its start, in the product and in the twin.
"""

raise ImportError("not in production")
