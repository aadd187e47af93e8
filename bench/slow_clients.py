"""How long `GET /api/vouchers/types/` waits while slow clients hold connections to the same server."""

import argparse
import sys
import time
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.support.slow_clients import SlowClients


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=8000, help="of the server on this machine")
    options.add_argument("--patience", type=float, default=75, help="seconds to wait for an answer")
    options.add_argument("--samples", type=int, default=5)
    arguments = options.parse_args()
    print(f"{'nobody':24}", measure(arguments.port, arguments.patience, arguments.samples), flush=True)
    cases = [[(kind, 60 if kind == "silent" else 16)] for kind in SlowClients.KINDS]
    for case in [*cases, [(kind, 60 if kind == "silent" else 16) for kind in SlowClients.KINDS]]:
        with ExitStack() as held:
            for kind, number in case:
                held.enter_context(SlowClients(kind, arguments.port, number))
            name = f"{case[0][1]} {case[0][0]}" if len(case) == 1 else "all of them at once"
            print(f"{name:24}", measure(arguments.port, arguments.patience, arguments.samples), flush=True)


def measure(port: int, patience: float, samples: int) -> str:
    """The seconds that each of `samples` calls took, one after the other; stops at the first without an answer."""
    times = []
    for _ in range(samples):
        caller = HTTPConnection("127.0.0.1", port, timeout=patience)
        begun = time.monotonic()
        try:
            caller.request("GET", "/api/vouchers/types/")
            status = caller.getresponse().status
        except OSError:
            return " ".join([*times, f"none in {patience:.0f} s"])
        finally:
            caller.close()
        times.append(f"{time.monotonic() - begun:.2f}" + ("" if status == 200 else f" ({status})"))
    return " ".join(times)


if __name__ == "__main__":
    main()
