"""How often something may be tried: counters, where they are kept, and the network that a request comes from.

Who is counted for what says the app that counts; how many, in which time, say the settings (their rate_limits.py).
"""

from .client_network import HasMeta, address_report, client_network
from .counters import Counter, count_failures, hit, per_network, reset, successes, test, undo
from .stores import Hits, Refuses

__all__ = [
    "Counter",
    "HasMeta",
    "Hits",
    "Refuses",
    "address_report",
    "client_network",
    "count_failures",
    "hit",
    "per_network",
    "reset",
    "successes",
    "test",
    "undo",
]
