"""Which requests a web process serves one after the other, and which in a pool of threads.

One thread that computes is faster than eight that pass Python's one lock around. So what is answered in milliseconds
has a lane of its own, with one request at a time. What waits for another party or computes for long goes to the pool,
where a Stripe that hangs holds a thread of the pool and nobody else.
"""

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Generic, TypeVar

Request = TypeVar("Request")
Result = TypeVar("Result")

# The operations of the fast lane, spelled as in the OpenAPI document. Each only reads and writes the database.
FAST: Final = (
    "GET /api/",
    "GET /api/analytics/dashboard/",
    "GET /api/analytics/revenue/",
    "GET /api/analytics/user/",
    "POST /api/auth/change-email-cancel/",
    "POST /api/auth/logout/",
    "GET /api/auth/profile/",
    "POST /api/auth/refresh/",
    "POST /api/auth/resend-confirmation/",
    "POST /api/auth/second-factor/",
    "POST /api/auth/token/refresh/",
    "POST /api/auth/token/verify/",
    "GET /api/health/",
    "GET /api/health/ready/",
    "GET /api/payments/history/",
    "GET /api/payments/refunds/",
    "GET /api/payments/transaction/{transaction_id}/",
    "GET /api/test/",
    "GET /api/users/change-email/",
    "DELETE /api/users/change-email/",
    "GET /api/users/profile/",
    "POST /api/users/unsubscribe/",
    "GET /api/vouchers/detail/{code}/",
    "GET /api/vouchers/my-vouchers/",
    "POST /api/vouchers/redeem/",
    "GET /api/vouchers/stats/",
    "GET /api/vouchers/types/",
    "GET /api/vouchers/usage-history/",
)
# Those of the pool, so that each operation has its place by decision. All other addresses go there, too: the webhook,
# the admin, files, and what does not exist.
POOLED: Final = (
    # They call Stripe.
    "POST /api/payments/confirm-payment/",
    "POST /api/payments/confirm/",
    "POST /api/payments/create-intent/",
    "POST /api/payments/create-payment-intent/",
    "POST /api/payments/refund/request/",
    "POST /api/vouchers/purchase/",
    # They compute a password's hash.
    "POST /api/auth/login/",
    "POST /api/auth/password-reset-confirm/",
    "POST /api/auth/password-reset/",
    "POST /api/auth/register/",
    "POST /api/users/change-email/",
    "POST /api/users/change-password/",
    "DELETE /api/users/profile/",
    # They write as many mails as were withheld.
    "POST /api/auth/change-email-confirm/",
    "POST /api/auth/confirm-email/",
    # They make or take pictures, PDFs or long files.
    "PUT /api/auth/profile/",
    "PATCH /api/auth/profile/",
    "GET /api/payments/transaction/{transaction_id}/receipt/",
    "POST /api/payments/transaction/{transaction_id}/receipt/",
    "GET /api/payments/transaction/{transaction_id}/vouchers/pdf/",
    "GET /api/users/export/",
    "PUT /api/users/profile/",
    "PATCH /api/users/profile/",
    "PATCH /api/users/profile/update/",
    "GET /api/vouchers/detail/{code}/pdf/",
    "GET /api/vouchers/detail/{code}/qr/",
)

# A request of the fast lane that takes longer is overdue: it waits for something, such as a row that a batch locked.
OVERDUE_SECONDS: Final = 0.05


def _pattern(operations: tuple[str, ...]) -> re.Pattern[bytes]:
    """Matches the beginning of a request whose operation is one of these; HEAD is GET."""
    spelled = [re.sub(r"\{\w+\}", "[^/? ]+", operation) for operation in operations]
    spelled = [re.sub("^GET ", "(?:GET|HEAD) ", one) for one in spelled]
    return re.compile(rf"(?:{'|'.join(spelled)})[? ]".encode())


_FAST: Final = _pattern(FAST)


def is_fast(request: bytes) -> bool:
    """Whether a request, from its first line on, belongs to the fast lane.

    So do preflights (OPTIONS), which a browser sends before many a call: the middleware answers them.
    """
    return bool(_FAST.match(request)) or request.startswith(b"OPTIONS /api/")


class FastLane(Generic[Request, Result]):
    """Requests that wait in order, served `width` at a time.

    One that is overdue no longer counts: the next begins beside it, in a spare thread, so that it keeps nobody waiting.
    There are `most` threads at most; each has a connection to the database of its own, so a spare one begins only when
    it has to, and the thread that was used last is used first.

    The process's loop adds requests. A thread that has served one begins the next itself, without a way through the
    loop. `serve` is called in the thread, and must not raise; `served` is called with the request and its result.
    """

    def __init__(
        self,
        serve: Callable[[Request], Result],
        served: Callable[[Request, "Future[Result]"], Any],
        *,
        width: int = 1,
        most: int,
    ) -> None:
        self._serve = serve
        self._served = served
        self._width = width
        self._most = most
        self._lock = threading.Lock()  # for all below
        self._waiting: deque[Request] = deque()
        self._running: dict[Request, tuple[ThreadPoolExecutor, float]] = {}  # each in its thread, since when
        self._idle: list[
            ThreadPoolExecutor
        ] = []  # threads (an executor of one each); the last one used is last

    def add(self, request: Request) -> None:
        """Serve a request when its turn has come."""
        with self._lock:
            self._waiting.append(request)
            self._begin()

    def advance(self) -> None:
        """Begin what waits behind an overdue request. To be called after `patience` seconds."""
        if self._waiting:
            with self._lock:
                self._begin()

    def patience(self) -> float | None:
        """In how many seconds a running request will be overdue while another waits; None: no need to look."""
        if not self._waiting:
            return None
        with self._lock:
            if len(self._running) >= self._most:
                return None
            ages = self._ages()
        return max(0.0, min((OVERDUE_SECONDS - age for age in ages if age < OVERDUE_SECONDS), default=0.0))

    def _begin(self) -> None:
        """Begin as many of the waiting requests as may run now. The caller holds the lock."""
        while self._waiting and len(self._running) < self._most:
            if sum(age < OVERDUE_SECONDS for age in self._ages()) >= self._width:
                return
            request = self._waiting.popleft()
            thread = self._idle.pop() if self._idle else ThreadPoolExecutor(1, "fast")
            self._running[request] = thread, time.monotonic()
            thread.submit(self._run, request).add_done_callback(partial(self._served, request))

    def _run(self, request: Request) -> Result:
        """In a thread: serve the request, then begin the next."""
        try:
            return self._serve(request)
        finally:
            with self._lock:
                thread, _ = self._running.pop(request)
                self._idle.append(thread)
                self._begin()

    def _ages(self) -> list[float]:
        """For how many seconds each running request has run."""
        now = time.monotonic()
        return [now - since for _, since in self._running.values()]
