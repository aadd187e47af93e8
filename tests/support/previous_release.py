"""The journeys of the release before, by its own code, on today's schema: what a rolling upgrade and a roll back need.

    python -m tests.support.previous_release

`deploy/previous_release` names its commit. That is unpacked beside, its tests run on a database that today's migrations
made, and none of their own is left to run. Packages are today's. Exit status 0: everything passed.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Final

from . import services

PROJECT: Final = services.PROJECT
# Besides the journeys (tag "smoke"), what writes the tables that these don't. Left out is whatever commits: it empties
# tables between two tests by the models of its time, and new tables refer to these.
WRITERS: Final = (
    "apps.analytics.tests.test_roll_up.RollUpTests.test_rebuilding_some_days_leaves_the_others",
    "apps.payments.tests.test_disputes",
    "apps.payments.tests.test_export_commands",
    "apps.payments.tests.test_webhook",
    "apps.users.tests.test_staff_groups",
    "apps.vouchers.tests.test_batches",
    "apps.vouchers.tests.test_reversal",
    "apps.vouchers.tests.test_second_person",
)


def commit() -> str:
    """The commit of the release before."""
    return (PROJECT / "deploy/previous_release").read_text().split()[0]


def main() -> int:
    """Run them. Returns the exit status."""
    services.use()
    if not os.environ["DATABASE_URL"].startswith("postgresql://"):
        print("There is no PostgreSQL here.")
        return 1
    database = make_database()
    with tempfile.TemporaryDirectory(prefix="previous-release-") as folder:
        unpack(commit(), Path(folder))
        run(PROJECT, "migrate", "--noinput", "--verbosity", "0", DATABASE_URL=database)
        # Its runner starts no servers of its own where these are named, and takes the database that is there.
        test = ("test", "--keepdb", "--parallel", "2")
        journeys = run(Path(folder), *test, "--tag", "smoke")
        writers = run(Path(folder), *test, "--exclude-tag", "race", *present(WRITERS, Path(folder)))
    return journeys or writers


def make_database() -> str:
    """An empty database by the name that the tests' database has; its address."""
    import psycopg2

    server, _, name = os.environ["DATABASE_URL"].rpartition("/")
    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    connection.autocommit = True
    connection.cursor().execute(f'CREATE DATABASE "test_{name}"')
    connection.close()
    return f"{server}/test_{name}"


def unpack(ref: str, folder: Path) -> None:
    """The files of a commit."""
    archive = subprocess.run(["git", "archive", ref], cwd=PROJECT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(folder, filter="data")


def present(labels: Iterable[str], folder: Path) -> list[str]:
    """Those of the test labels whose module that release has."""
    return [
        label for label in labels if (folder / "/".join(label.split(".")[:4])).with_suffix(".py").exists()
    ]


def _inherited() -> dict[str, str]:
    """Our environment without what is empty: of a name that is newer than the release it may expect a value."""
    return {name: value for name, value in os.environ.items() if value}


def run(folder: Path, *arguments: str, **environment: str) -> int:
    """A command of the manage.py in that folder. Returns its exit status; ends with it where no test can follow."""
    ended = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=folder,
        env={**_inherited(), **environment},
        check=False,
    )
    if ended.returncode and arguments[0] != "test":
        sys.exit(ended.returncode)
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
