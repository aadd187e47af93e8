"""The one app of the textbook twin."""
