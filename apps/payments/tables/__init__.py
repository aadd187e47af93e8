"""The tables of payments, one module a subject. Import them from `models.py`."""
