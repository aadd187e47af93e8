"""The test runner: Django's, with fast passwords, files in a temporary folder, and one closing line.

The last line of a run is `N passed, N failed, N skipped`; a run that found no test fails.
"""

import argparse
import gc
import multiprocessing
import os
import re
import tempfile
import threading
import time
import unittest
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import connections
from django.test import runner as django_runner
from django.test.utils import override_settings

from . import pooler

SLOWEST: Final = 20  # tests that a run names at its end
RACE: Final = "race"  # the tag of tests of which only one may run at a time
SLOW: Final = "slow"  # the tag of classes that take long: with several processes they begin first
ANY_DATABASE: Final = "any-database"  # the tag of classes that would fail on every database alike
GARBAGE: Final = (50_000, 20, 50)  # thresholds of Python's garbage collection


def home() -> Path:
    """The folder for what a test run leaves on disk; `services.py` removes it after the run."""
    if "TEST_HOME" not in os.environ:
        os.environ["TEST_HOME"] = tempfile.mkdtemp(prefix="voucher-test-")
    return Path(os.environ["TEST_HOME"])


def prepare() -> None:
    """Change the settings that must differ while testing."""
    caches = {name: dict(cache) for name, cache in settings.CACHES.items()}
    if settings.REDIS_URL:
        caches["default"]["BACKEND"] = "tests.support.cache.OwnKeysCache"
    static = home() / "static"
    static.mkdir(exist_ok=True)  # WhiteNoise warns where it is missing
    override_settings(
        CACHES=caches,
        # A test is one transaction, and may think for long on a busy machine.
        DATABASE_TIME_LIMITS=settings.DATABASE_TIME_LIMITS | {"idle_in_transaction_session_timeout": 0},
        MEDIA_ROOT=home() / f"media-{os.getpid()}",  # of each process its own
        STATIC_ROOT=static,
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        SEND_MAIL_IN_PROCESS=False,  # the tests send it themselves
        WRITE_REFUSALS_EVERY=None,  # and write them
        CELERY_TASK_ALWAYS_EAGER=True,
        CELERY_TASK_EAGER_PROPAGATES=True,
    ).enable()
    database = connections["default"]
    if database.vendor == "postgresql" and not settings.DATABASE_POOLED:
        options = database.settings_dict["OPTIONS"]
        options["options"] = f"{options.get('options', '')} -c idle_in_transaction_session_timeout=0"


def _prepare_worker(*arguments: Any) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    django_runner._init_worker(*arguments)  # type: ignore[attr-defined]
    prepare()


def _end_with_parent() -> None:
    """Where the run is killed, its workers would go on without it."""
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)


def _skip_if_only_a_tool_is_missing(test: unittest.TestCase) -> None:
    """Skip a module that can't be imported for want of a package that requirements-dev.txt brings."""
    failure = str(getattr(test, "_exception", ""))  # of unittest's stand-in for such a module
    missing = re.search(r"^ModuleNotFoundError: No module named '(\w+)", failure, re.MULTILINE)
    tools = (settings.BASE_DIR / "requirements-dev.in").read_text().replace("-", "_").splitlines()
    if missing and missing[1] in tools:
        test._exception = unittest.SkipTest(f"{missing[1]} comes with requirements-dev.txt")  # type: ignore[attr-defined]


def _may_fail_by_database(test: unittest.TestCase) -> bool:
    """Whether a test may fail on one database and pass on another, or stands for a module that can't be imported.

    Not those that Django lets into no database, nor those that would find the same beside any.
    """
    # Empty for a SimpleTestCase; the tests of local_stripe, which know nothing of Django, have no such attribute.
    uses_one = bool(getattr(test, "databases", ())) and not _has_tag(ANY_DATABASE, (test,))
    return uses_one or isinstance(test, unittest.loader._FailedTest)  # type: ignore[attr-defined]


def _let_flush_past_triggers(operations: Any) -> None:
    """Let what empties the tables between tests pass the triggers that refuse a DELETE: SQLite has no TRUNCATE."""
    flush = operations.execute_sql_flush

    def execute_sql_flush(self: Any, statements: list[str]) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            triggers = cursor.fetchall()
            for name, _ in triggers:
                cursor.execute(f'DROP TRIGGER "{name}"')
            try:
                flush(self, statements)
            finally:
                for _, definition in triggers:
                    cursor.execute(definition)

    operations.execute_sql_flush = execute_sql_flush


class _WorkerResult(django_runner.RemoteTestResult):
    """Sends each test's duration to the parent process, and a failed subtest by name, without what it holds: not
    all can be sent."""

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._started = time.monotonic()

    def stopTest(self, test: unittest.TestCase) -> None:
        self.events.append(("record_duration", self.test_index, time.monotonic() - self._started))
        super().stopTest(test)

    def addSubTest(self, test: unittest.TestCase, subtest: Any, err: Any) -> None:
        empty = type(test)(test._testMethodName)
        super().addSubTest(test, type(subtest)(empty, subtest._subDescription(), {}), err)


class _WorkerRunner(django_runner.RemoteTestRunner):
    resultclass = _WorkerResult


class _ParallelSuite(django_runner.ParallelTestSuite):
    """Runs the races in one process, one after the other, from the start: only one may run at a time, and a second
    process would do nothing but wait for the first. The slow classes come next, so that none of them is the last."""

    init_worker = _prepare_worker
    runner_class = _WorkerRunner

    def __init__(self, subsuites: list[unittest.TestSuite], *arguments: Any, **options: Any) -> None:
        races = unittest.TestSuite()
        slow, others = [], []
        for subsuite in subsuites:
            if _has_tag(RACE, subsuite):
                races.addTests(subsuite)
            elif _has_tag(SLOW, subsuite):
                slow.append(subsuite)
            else:
                others.append(subsuite)
        first = [races] if races.countTestCases() else []
        super().__init__([*first, *slow, *others], *arguments, **options)


def _has_tag(name: str, suite: Iterable[Any]) -> bool:
    return any(name in getattr(test, "tags", ()) for test in suite)


class _Counting(unittest.TextTestResult):
    """Counts what passed, as the results themselves tell (`testsRun` also counts what was skipped), and keeps how
    long each test took, setUp and waiting included."""

    passed = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.durations: list[tuple[float, str]] = []
        self._started: dict[str, float] = {}

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._started[test.id()] = time.monotonic()

    def stopTest(self, test: unittest.TestCase) -> None:
        # Where a worker process ran the test, its own figure came before this; ours is of the report alone.
        if test.id() in self._started:
            self.record_duration(test, time.monotonic() - self._started[test.id()])
        super().stopTest(test)

    def record_duration(self, test: unittest.TestCase, seconds: float) -> None:
        self._started.pop(test.id(), None)
        self.durations.append((seconds, test.id()))

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.passed += 1
        super().addSuccess(test)


class Runner(django_runner.DiscoverRunner):
    """See the module."""

    parallel_test_suite = _ParallelSuite

    def __init__(
        self, *arguments: Any, with_database: bool = False, pooled: bool = False, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.pooled = pooled  # manage.py has started the pooler
        self.with_database = with_database

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--with-database",
            action="store_true",
            help="Leave out the tests that are the same beside any database: those that Django lets into none, and "
            f"those with the tag {ANY_DATABASE}.",
        )
        parser.add_argument(
            "--pooled",
            action="store_true",
            help="Have the tests' own PostgreSQL behind a PgBouncer, in transaction mode.",
        )

    def load_tests_for_label(self, label: str, discover_kwargs: dict[str, Any]) -> unittest.TestSuite:
        suite = super().load_tests_for_label(label, discover_kwargs)
        if not self.with_database:
            return suite
        tests = django_runner.iter_test_cases(suite)  # type: ignore[attr-defined]
        return unittest.TestSuite(test for test in tests if _may_fail_by_database(test))

    def setup_test_environment(self, **options: Any) -> None:
        super().setup_test_environment(**options)
        prepare()

    def build_suite(self, *arguments: Any, **options: Any) -> unittest.TestSuite:
        suite = super().build_suite(*arguments, **options)
        for test in django_runner.iter_test_cases(suite):  # type: ignore[attr-defined]
            _skip_if_only_a_tool_is_missing(test)
        return suite

    def setup_databases(self, **options: Any) -> Any:
        connection = connections["default"]
        if connection.vendor == "sqlite":
            # A file: threads can't share a database in memory.
            connection.settings_dict["TEST"]["NAME"] = str(home() / "test.sqlite3")
            clone = connection.creation.clone_test_db

            def clone_all(**of: Any) -> None:
                connection.close()  # a clone is a copy of the file: first all of the write-ahead log goes there
                clone(**of)

            connection.creation.clone_test_db = clone_all  # type: ignore[method-assign, assignment]
            _let_flush_past_triggers(type(connection.ops))
        if self.pooled:
            return pooler.setup_databases(super().setup_databases, **options)
        return super().setup_databases(**options)

    def run_suite(self, suite: unittest.TestSuite, **options: Any) -> Any:
        # What is there now stays to the end: no collection has to look at it again, in this process or in its forks.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GARBAGE)
        gc.enable()
        return super().run_suite(suite, **options)

    def teardown_databases(self, old_config: Any, **options: Any) -> None:
        if self.pooled:
            pooler.end_connections()
        super().teardown_databases(old_config, **options)

    def get_resultclass(self) -> type[unittest.TextTestResult]:
        base = super().get_resultclass() or unittest.TextTestResult
        return type("Result", (_Counting, base), {})

    def suite_result(self, suite: unittest.TestSuite, result: Any, **options: Any) -> int:
        self._print_slowest(result)
        failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
        passed = result.passed + len(result.expectedFailures)
        if result.shouldStop and not failed:
            print("The run was interrupted.")
            failed = 1
        elif not passed + failed + len(result.skipped):
            print("No tests were found.")
            failed = 1
        print(f"{passed} passed, {failed} failed, {len(result.skipped)} skipped", flush=True)
        return failed

    def _print_slowest(self, result: Any) -> None:
        slowest = sorted(result.durations, reverse=True)[:SLOWEST]
        if len(result.durations) > SLOWEST and self.verbosity > 0:
            total = sum(seconds for seconds, _ in result.durations)
            print(f"The {SLOWEST} slowest of {total:.0f} s in tests:")
            for seconds, name in slowest:
                print(f"{seconds:7.2f} s  {name}")
