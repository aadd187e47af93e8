"""Times as people read them."""

from django.utils import timezone


def zone_name() -> str:
    """The name of the project's time zone, to stand beside a local time: America/New York."""
    return timezone.get_current_timezone_name().replace("_", " ")
