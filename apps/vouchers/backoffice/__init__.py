"""The admin's screens for vouchers, batches and their history."""
