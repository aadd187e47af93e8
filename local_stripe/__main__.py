"""``python -m local_stripe``: a local Stripe in a process of its own."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence

from local_stripe.runtime.storage import StorageUnavailableError
from local_stripe.service import DEFAULT_PORT, LocalStripe

SETTLE_AFTER = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM, SIGINT or, with ``--exit-with-stdin``, the end of standard input.

    Returns the exit status.
    """
    options = _parser().parse_args(arguments)
    try:
        stripe = LocalStripe(
            options.port,
            options.webhook_url,
            options.webhook_secret,
            settle_after=options.settle_after,
            state_file=options.state_file,
        )
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        print(f"local Stripe: cannot listen on 127.0.0.1:{options.port}: {reason}", file=sys.stderr)
        return 1
    except (ValueError, StorageUnavailableError) as error:
        print(f"local Stripe: {error}", file=sys.stderr)
        return 1
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    if options.exit_with_stdin:
        threading.Thread(target=_wait_for_end_of_stdin, args=(ended,), daemon=True).start()
    stripe.start()
    print(f"local Stripe on {stripe.base_url}", flush=True)
    ended.wait()
    stripe.stop()
    return 0


def _wait_for_end_of_stdin(ended: threading.Event) -> None:
    # Not sys.stdin: its lock, held by a thread at interpreter exit, is fatal.
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    ended.set()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local_stripe", description="A local stand-in for Stripe."
    )
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="0 picks a free one (default: %(default)s)"
    )
    parser.add_argument("--webhook-url", help="where to send signed events")
    parser.add_argument(
        "--webhook-secret", default="whsec_local", help="what signs them (default: %(default)s)"
    )
    parser.add_argument(
        "--settle-after",
        type=float,
        default=SETTLE_AFTER,
        metavar="SECONDS",
        help="when refunds and evidence get their second step (default: %(default)s)",
    )
    parser.add_argument(
        "--state-file", metavar="FILE", help="where to keep all that it remembers (default: nowhere)"
    )
    parser.add_argument("--exit-with-stdin", action="store_true", help="end when standard input closes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
