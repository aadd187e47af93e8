"""Days and moments as people read them, in the project's time zone, with the zone named."""

from datetime import date, datetime, time

from django.utils import timezone
from django.utils.formats import date_format


def zone_name() -> str:
    """The name of the project's time zone, to stand beside a local time: America/New York."""
    return timezone.get_current_timezone_name().replace("_", " ")


def format_day(moment: datetime) -> str:
    """The day of a moment: 1 March 2027."""
    return date_format(timezone.localtime(moment), "j F Y")


def format_time(moment: datetime) -> str:
    """The time of a moment: 23:59, America/New York time."""
    return f"{timezone.localtime(moment):%H:%M}, {zone_name()} time"


def format_moment(moment: datetime) -> str:
    """Day and time of a moment: 1 March 2027, 23:59, America/New York time."""
    return f"{format_day(moment)}, {format_time(moment)}"


def format_moment_briefly(moment: datetime) -> str:
    """Day and time of a moment, with the zone's abbreviation: 1 March 2027, 23:59 EST."""
    return date_format(timezone.localtime(moment), "j F Y, H:i T")


def start_of_day(day: date) -> datetime:
    """The first moment of a day."""
    return timezone.make_aware(datetime.combine(day, time.min))


def end_of_day(day: date) -> datetime:
    """The last second of a day; where clocks go back over midnight, of its second time."""
    return timezone.make_aware(datetime.combine(day, time(23, 59, 59, fold=1)))
