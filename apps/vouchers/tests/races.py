"""What the races about one voucher share: people who redeem it at once, and what they are told."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from django.db import connection, transaction
from django.utils import timezone

from apps.users.tests.factories import make_staff, make_user
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_batch_vouchers
from tests.support.cases import Client, RaceTestCase

# On SQLite nothing comes between the refusal of a redemption and the look for its reason: nobody is told this.
CHANGING: Final = {"changing"} if connection.vendor == "postgresql" else set()
PATIENCE: Final = 30.0  # seconds
MILLISECOND: Final = timedelta(milliseconds=1)  # SQLite's clock tells no less


def outcome_of(answer: Any) -> str:
    """What a redemption was told, in a word: the problem's code, or "changing" for the 503 that says so."""
    if answer.status_code == 200:
        return "redeemed"
    problem = answer.json()
    if answer.status_code == 503 and "Retry-After" in answer.headers and "just changed" in problem["detail"]:
        return "changing"
    return str(problem["code"])


@contextmanager
def hold_row(
    voucher: Voucher, *, until: datetime | None = None, then: Callable[[], object] = lambda: None
) -> Iterator[Callable[[], None]]:
    """Another transaction has the voucher's row, until that moment, or until the function that comes is called.

    It ends with what `then` does.
    """
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with closing(connection), transaction.atomic():
            Voucher.objects.select_for_update(no_key=True).get(pk=voucher.pk)
            held.set()
            done.wait(max(0.0, (until - timezone.now()).total_seconds()) if until else PATIENCE)
            then()

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    held.wait(PATIENCE)
    try:
        yield done.set
    finally:
        if not until:
            done.set()
        thread.join()


def wait_for_locks(number: int) -> None:
    """Until so many statements of this PostgreSQL database wait for a lock, or PATIENCE is over."""
    deadline = time.monotonic() + PATIENCE
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(waiting)
            if cursor.fetchone()[0] >= number:
                return
        time.sleep(0.02)


class VoucherRaceTestCase(RaceTestCase):
    """Staff, and four people with a client each; vouchers that belong to the first of them."""

    def setUp(self) -> None:
        super().setUp()
        self.staff = make_staff()
        self.people = [make_user() for _ in range(4)]
        self.apis = [self.signed_in(person) for person in self.people]
        self.expected = {503}  # statuses that need no line in the log; those of a broken twin come to it
        log, keep = logging.getLogger("django.request"), self._is_unexpected
        log.addFilter(keep)
        self.addCleanup(log.removeFilter, keep)

    def _is_unexpected(self, record: logging.LogRecord) -> bool:
        return getattr(record, "status_code", None) not in self.expected

    def vouchers(self, number: int | None = None, **fields: Any) -> list[Voucher]:
        """So many vouchers (for each round one) of one batch, of a type with these fields."""
        return make_batch_vouchers(owner=self.people[0], quantity=number or self.rounds, **fields)

    def redeem(self, api: Client, code: str) -> str:
        return outcome_of(api.post("/api/vouchers/redeem/", {"code": code}))

    def while_redeemed(
        self, voucher: Voucher, act: Callable[[], object]
    ) -> tuple[list[tuple[str, datetime]], list[str]]:
        """`act` while the four redeem the voucher over and over, and once more each when it has been done.

        What they were told meanwhile, and when; and what each was told in the end.
        """
        done = threading.Event()

        def acting() -> None:
            try:
                act()
            finally:
                done.set()

        def redeeming(api: Client) -> tuple[list[tuple[str, datetime]], str]:
            answers = []
            while not done.is_set():
                answers.append((self.redeem(api, voucher.code), timezone.now()))
            return answers, self.redeem(api, voucher.code)

        calls: list[Callable[[], Any]] = [acting, *(partial(redeeming, api) for api in self.apis)]
        _, *others = self.together(*calls)
        return [answer for answers, _ in others for answer in answers], [last for _, last in others]


def used_between(voucher: Voucher, begin: datetime, end: datetime | None = None) -> int:
    """How many uses were made after the one moment and before the other (None: ever after)."""
    later = voucher.usages.filter(used_at__gt=begin)
    return (later.filter(used_at__lt=end - MILLISECOND) if end else later).count()
