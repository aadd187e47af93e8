"""How dates and times are written on pages for staff (FORMAT_MODULE_PATH in the settings)."""
