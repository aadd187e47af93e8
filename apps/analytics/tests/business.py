"""The roll-up is counted while people buy and redeem, and somebody looks: for tests of figures and of the audit."""

import threading
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

from django.utils import timezone

from apps.analytics.models import FiguresState
from apps.analytics.services import daily_figures
from apps.analytics.services.daily_figures import jobs, state
from apps.payments.tests.money import PaidTestCase
from tests.support.cases import RaceTestCase

Look = TypeVar("Look", bound=Sized)


@contextmanager
def not_locked() -> Iterator[FiguresState]:
    """A broken twin of `locked_state`: what counting writes is no transaction."""
    yield FiguresState.objects.get()


class BusinessTestCase(PaidTestCase, RaceTestCase):
    def looks_during_business(
        self, look: Callable[[], Look], number: int, *acts: Callable[[], object], broken: Any = None
    ) -> list[Look]:
        """What so many looks return, up to the first with anything in it, while each act is done again and again.

        `self.counted` is how often the roll-up was counted; with `broken` in place of the transactions of counting.
        """
        closed = threading.Event()
        self.counted = 0

        def again_and_again(act: Callable[[], object]) -> Callable[[], None]:
            def work() -> None:
                while not closed.is_set():
                    act()

            return work

        def count() -> None:
            if self.counted % 3 == 2:
                jobs.count_day(timezone.localdate())
            daily_figures.update()
            self.counted += 1

        def watch() -> list[Look]:
            looks: list[Look] = []
            try:
                while len(looks) < number and not any(looks):
                    looks.append(look())
                return looks
            finally:
                closed.set()

        with patch.object(jobs, "locked_state", broken or state.locked_state):
            looks: Any = self.together(watch, *(again_and_again(act) for act in (*acts, count)))[0]
        return list(looks)
