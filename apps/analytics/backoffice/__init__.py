"""The pages of figures for staff: the front page, and the one on revenue."""
