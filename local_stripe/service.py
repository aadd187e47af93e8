"""``LocalStripe``: start and stop a local Stripe on a port of its own."""

from __future__ import annotations

import os
import threading
from types import TracebackType

from local_stripe.emulator import Emulator
from local_stripe.http.dispatch import Api
from local_stripe.http.server import Server
from local_stripe.runtime.webhooks import RETRY_DELAYS

DEFAULT_PORT = 12111


class LocalStripe(Emulator):
    """A Stripe of one's own on 127.0.0.1, stateful, served by threads of this process.

    ``port`` 0 picks a free one. ``webhook_url`` gets the signed events, ``retry_delays`` are the seconds
    between attempts when it does not answer 2xx within ``delivery_timeout`` seconds. ``settle_after`` are the
    seconds after which pending refunds, refunds that fail and submitted evidence get their second step by
    themselves; None: only ``settle_refund`` and ``close_dispute`` take it. ``state_file`` keeps all that it
    remembers, and a later one goes on from it; None: memory only. A file that can't be read is set aside, and
    ``set_aside`` is its new name. Also a context manager. Raises OSError when the port is taken,
    StorageUnavailableError when the file is, ValueError for a bad ``webhook_url`` or ``settle_after``.
    """

    def __init__(
        self,
        port: int = 0,
        webhook_url: str | None = None,
        webhook_secret: str = "whsec_local",
        *,
        retry_delays: tuple[float, ...] = RETRY_DELAYS,
        delivery_timeout: float = 10.0,
        settle_after: float | None = None,
        state_file: str | os.PathLike[str] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(
            webhook_url,
            webhook_secret,
            retry_delays=retry_delays,
            delivery_timeout=delivery_timeout,
            settle_after=settle_after,
            state_file=state_file,
        )
        self._stopping = threading.Event()
        self.api = Api(self._state, self._stopping)
        try:
            self._server = Server(self, self.api, host, port)
        except BaseException:
            self._state.close()
            raise
        self._state.base_url = self.base_url

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    @property
    def base_url(self) -> str:
        """What ``base_addresses={"api": …}`` of stripe-python wants."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> LocalStripe:
        """Serve in daemon threads; returns itself. To be called once."""
        self._webhooks.start()
        self._later.start()
        self._server.start()
        return self

    def stop(self) -> None:
        """Close the port and every connection, and end the deliveries. May be called twice."""
        self._stopping.set()
        self._webhooks.stop()
        self._later.stop()
        self._server.stop()
        self._state.close()

    def __enter__(self) -> LocalStripe:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
