"""What the application counts for Prometheus, and what is read for it at each scrape.

An app declares its counters and histograms as constants, and counts on them: that costs microseconds, and nothing at
all where METRICS_TOKEN is empty. What the database knows is not counted but read when it is asked for: a `Reader`,
registered in the `ready` of an AppConfig. Names and labels hold no personal data and no codes, and each label has few
values: a route and not an address, a class of statuses.
"""

from .instruments import Counter, Histogram
from .readers import Gauge, Reader, Reading, register

__all__ = ["Counter", "Gauge", "Histogram", "Reader", "Reading", "register"]
