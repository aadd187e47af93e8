"""The admin's pages of the second factor, and what keeps the rest closed until it was passed."""
