"""How many connections each process of the web server holds, in memory that the processes share.

All processes wait at the same listening socket, and the first one to wake takes whatever is there: eight connections
that are kept alive end up in one process, and the other one idles. So a process that holds more than another leaves new
connections to it for a moment.

A queue for each process (SO_REUSEPORT) would spread them by chance: of eight connections a process often gets one or
none, and what waits in the queue of a process that ends is lost.
"""

import struct
import time
from mmap import mmap
from typing import Final

PROCESSES: Final = (
    64  # that can be told apart; with more, two share a place, and share the connections less evenly
)
SILENT_SECONDS: Final = 3  # a process that has not reported for so long has ended, or is stuck
SLACK: Final = 1  # more connections than another process before a process steps back

_PLACE: Final = struct.Struct("=dq")  # when the process last reported (time.monotonic), and how many it holds


class ConnectionCounts:
    """A table with a place for each process. To be created before the processes are, which inherit it.

    A process writes its own place alone. Who reads one while it is written may see a wrong number: then a connection
    goes to the wrong process, which does no harm.
    """

    def __init__(self) -> None:
        self._memory = mmap(-1, PROCESSES * _PLACE.size)

    def report(self, process: int, connections: int) -> None:
        """Note that the process number `process` is there and holds so many connections."""
        _PLACE.pack_into(self._memory, process % PROCESSES * _PLACE.size, time.monotonic(), connections)

    def withdraw(self, process: int) -> None:
        """Note that the process takes no more connections."""
        _PLACE.pack_into(self._memory, process % PROCESSES * _PLACE.size, 0.0, 0)

    def has_most(self, process: int, connections: int) -> bool:
        """Whether another process should rather have the next connection than this one with so many."""
        silent_before = time.monotonic() - SILENT_SECONDS
        own = process % PROCESSES
        return any(
            place != own and reported > silent_before and others + SLACK < connections
            for place, (reported, others) in enumerate(_PLACE.iter_unpack(self._memory))
        )
