"""The two kinds of test: one request after the other, and many at the same instant."""

import fcntl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from django.conf import settings
from django.core.cache import cache
from django.db import connection, connections
from django.http import HttpResponse
from django.test import SimpleTestCase, TestCase
from django.test.utils import CaptureQueriesContext, tag
from rest_framework.test import APIClient

from apps.core import rate_limits
from apps.vouchers.services import refusals

from . import pooler
from .flush import FastFlushTestCase
from .runner import RACE, home

Result = TypeVar("Result")

TRANSACTION_CONTROL = ("SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK", "BEGIN", "COMMIT", "SET CONSTRAINTS")
INSIDES = ("Traceback", "SELECT ", "INSERT INTO", "UPDATE ", "psycopg", "sqlite3", "site-packages", "/apps/")


class Client(APIClient):
    """Speaks JSON to the API, and meets a 500 as an answer, as a client would."""

    def __init__(self, **options: Any) -> None:
        super().__init__(raise_request_exception=False, **options)


class _Api(SimpleTestCase):
    client_class = Client
    client: Client

    def setUp(self) -> None:
        super().setUp()
        for forget in (cache.clear, rate_limits.reset, refusals.forget_refusals):
            forget()
            self.addCleanup(forget)
        self.api = Client()

    def signed_in(self, user: Any) -> Client:
        """A new client with a new session of `user`."""
        from apps.authentication import services

        client = Client()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {services.open_session(user=user).access}")
        return client

    def assertProblem(self, response: HttpResponse, status: int, code: str) -> dict[str, Any]:
        """The response is the problem document `code` and tells nothing of our insides. Returns the document."""
        self.assertEqual(response.status_code, status, response.content)
        self.assertEqual(response.headers["Content-Type"].partition(";")[0], "application/problem+json")
        document: dict[str, Any] = response.json()  # type: ignore[attr-defined]
        self.assertLessEqual({"type", "title", "status", "detail", "code", "message"}, document.keys())
        self.assertEqual((document["status"], document["code"]), (status, code), document)
        self.assertTrue(document["title"] and document["detail"], document)
        self.assertEqual(document["message"], document["detail"])
        for inside in (*INSIDES, str(settings.BASE_DIR)):
            self.assertNotIn(inside, response.content.decode())
        return document


class ApiTestCase(_Api, TestCase):
    """Tests of the API and the services, each in a transaction that is rolled back."""

    @contextmanager
    def assertQueries(self, number: int) -> Iterator[None]:
        """The block sends exactly `number` queries, transaction control (savepoints and the like) not counted."""
        with CaptureQueriesContext(connection) as captured:
            yield
        queries = [query["sql"] for query in captured.captured_queries]
        queries = [query for query in queries if not query.startswith(TRANSACTION_CONTROL)]
        self.assertEqual(len(queries), number, "\n" + "\n".join(query[:500] for query in queries))


class CommittingTestCase(_Api, FastFlushTestCase):
    """Tests whose writes are committed, such as those of other processes. After each, the tables are emptied."""

    patience = 60  # seconds until a thread or process that doesn't end fails the test


class _Caller(threading.Thread):
    """Makes the calls that it gets, one after the other, on one connection: to open one takes longer than most calls.

    `None` ends it.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self.start()

    def run(self) -> None:
        while call := self.calls.get():
            call()
            if connection.errors_occurred or not connection.autocommit:  # what it left is not for the next
                connection.close()
        connections.close_all()


@tag(RACE, "server")
class RaceTestCase(CommittingTestCase):
    """Tests of what happens at the same instant, with real transactions and a connection per thread.

    Only one of them runs at a time, over all processes of the test run: a race needs the processors.
    A race may pass by luck, so each is repeated: `for _ in range(self.rounds)`.
    """

    rounds = 10

    def setUp(self) -> None:
        lock = (home() / "races.lock").open("w")
        self.addCleanup(lock.close)
        fcntl.flock(lock, fcntl.LOCK_EX)
        self._callers: list[_Caller] = []
        self.addCleanup(self._end_callers)
        super().setUp()

    def together(self, *calls: Callable[[], Result]) -> list[Result]:
        """Run all calls at the same instant, a thread each; their results in order, or the first exception."""
        self._skip_unless_there_are_connections_for(len(calls))
        start = threading.Barrier(len(calls))
        ended = threading.Semaphore(0)
        results: dict[int, Result] = {}
        errors: dict[int, BaseException] = {}

        def run(number: int, call: Callable[[], Result]) -> None:
            try:
                try:
                    connection.ensure_connection()
                except BaseException:
                    start.abort()
                    raise
                start.wait(self.patience)
                results[number] = call()
            except threading.BrokenBarrierError:
                pass  # because another could not start, which is the error to tell
            except BaseException as error:  # noqa: BLE001 - raised again below, in the test's own thread
                errors[number] = error
            finally:
                ended.release()

        self._callers += [_Caller() for _ in range(len(calls) - len(self._callers))]
        for caller, pair in zip(self._callers, enumerate(calls), strict=False):
            caller.calls.put(partial(run, *pair))
        deadline = time.monotonic() + self.patience
        if not all(ended.acquire(timeout=max(0, deadline - time.monotonic())) for _ in calls):
            self.fail(f"Still running after {self.patience} seconds: a deadlock?")
        if errors:
            raise errors[min(errors)]
        if len(results) < len(calls):
            self.fail(f"Not all threads could start within {self.patience} seconds")
        return [results[number] for number in range(len(calls))]

    def _end_callers(self) -> None:
        """Before the tables are emptied. One that still runs has failed the test, and is not waited for long."""
        for caller in self._callers:
            caller.calls.put(None)
        for caller in self._callers:
            caller.join(1)

    def assertCaught(
        self, race: Callable[[], Result], is_wrong: Callable[[Result], Any], *, rounds: int = 3
    ) -> None:
        """A control: one of so many rounds of `race` has an outcome that is wrong, and is the last."""
        outcomes = [race()]
        while len(outcomes) < rounds and not is_wrong(outcomes[-1]):
            outcomes.append(race())
        self.assertTrue(is_wrong(outcomes[-1]), outcomes)

    def _skip_unless_there_are_connections_for(self, threads: int) -> None:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SHOW max_connections")
                most = pooler.CLIENTS if settings.DATABASE_POOLED else int(cursor.fetchone()[0])
            if threads > most - 10:  # some are kept for administrators, and for the other tests
                self.skipTest(f"{threads} threads, and this PostgreSQL takes {most} connections")
