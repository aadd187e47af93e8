"""The roll-up is counted while people buy and redeem, and somebody looks: for tests of figures and of the audit."""

import threading
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from unittest.mock import patch

from django.utils import timezone

from apps.analytics.models import FiguresState
from apps.analytics.services import daily_figures
from apps.analytics.services.daily_figures import jobs, state
from apps.payments.tests.money import PaidTestCase
from tests.support.cases import RaceTestCase

LOOKS: Final = 3
COUNTINGS: Final = 3  # the third counts a whole day anew
MAX_LOOKS: Final = 100

Look = TypeVar("Look", bound=Sized)


@contextmanager
def not_locked() -> Iterator[FiguresState]:
    """A broken twin of `locked_state`: what counting writes is no transaction."""
    yield FiguresState.objects.get()


class BusinessTestCase(PaidTestCase, RaceTestCase):
    def looks_during_business(
        self, look: Callable[[], Look], *acts: Callable[[], object], broken: Any = None
    ) -> list[Look]:
        """What looks return, up to the first with anything in it, while each act is done again and again.

        There are LOOKS at least, and they go on until the roll-up was counted COUNTINGS times meanwhile, with `broken`
        in place of the transactions of counting. A broken one is looked at until that shows.
        """
        closed = threading.Event()
        counted = 0

        def is_enough(looks: list[Look]) -> bool:
            if broken is None and len(looks) >= LOOKS and counted >= COUNTINGS:
                return True
            if len(looks) == MAX_LOOKS:
                self.fail(f"{counted} countings during {MAX_LOOKS} looks")
            return False

        def again_and_again(act: Callable[[], object]) -> Callable[[], None]:
            def work() -> None:
                try:
                    while not closed.is_set():
                        act()
                finally:
                    closed.set()  # by whoever fails, so that this is what the test says

            return work

        def count() -> None:
            nonlocal counted
            if counted % 3 == 2:
                jobs.count_day(timezone.localdate())
            daily_figures.update()
            counted += 1

        def watch() -> list[Look]:
            looks: list[Look] = []
            try:
                while not closed.is_set() and not any(looks) and not is_enough(looks):
                    looks.append(look())
                return looks
            finally:
                closed.set()

        with patch.object(jobs, "locked_state", broken or state.locked_state):
            looks: Any = self.together(watch, *(again_and_again(act) for act in (*acts, count)))[0]
        return list(looks)
