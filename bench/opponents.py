"""Who is measured: the product, the textbook twin in two ways, and the floors; how each is started and signed in to."""

import json
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Final

import jwt

from . import data as product_data
from .client import Client
from .data import PAYERS, Data
from .machine import Machine, plain_environment, product_environment
from .processes import PROJECT, Program, gunicorn, local_stripe

PRODUCT, WITH_LIMITS, A, B = "product", "product with limits", "A", "B"
FLOORS: Final = {
    "bare WSGI": "bench.floors.bare:application",
    "Django view": "bench.floors.django_view:application",
    "DRF view": "bench.floors.drf_view:application",
}
NO_LIMIT: Final = "900000000/m"
SECRET: Final = secrets.token_urlsafe(60)


class Missing(Exception):
    """A part of the benchmark is not there; the message says which."""


@dataclass
class Opponent:
    """A running application with the data in its database, and what signs the load in to it."""

    name: str
    server: Program
    database: str
    data: Data
    stripe: Program | None = None
    tokens: dict[str, str] = field(default_factory=dict, repr=False)  # by person: access tokens
    refresh_token: str = field(default="", repr=False)
    pool: "Pool | None" = field(default=None, repr=False)
    rates: dict[str, float] = field(default_factory=dict)  # by scenario: answers a second, the last time

    @property
    def client(self) -> Client:
        """A connection of its own to the application."""
        return Client(self.server.port)

    def sign_in(self) -> None:
        """New tokens of all people, as the ones of before run out within the hour. Not for floors."""
        if self.name in FLOORS:
            return
        for person in ("buyer20", "buyer100k", "redeemer", "staff", *PAYERS):
            body = {"email": f"{person}@bench.example", "password": self.data.password}
            answer = self.client.call("POST", "/api/auth/login/", body).json(200)
            tokens = answer.get("tokens", answer)
            self.tokens[person] = tokens["access"]
            if person == "buyer20":
                self.refresh_token = tokens["refresh"]


class Pool:
    """The redeemable codes of a database: each is sent once, by whichever load takes it."""

    def __init__(self, codes: list[str]) -> None:
        self._codes = codes
        self._taken: list[str] = []

    def take(self, number: int) -> list[str]:
        """So many codes that nobody had; fewer when they run out."""
        self._taken, self._codes = self._codes[:number], self._codes[number:]
        return list(self._taken)

    def give_back(self, *, sent: int) -> None:
        """Put back what was taken last, but for the first `sent` codes, and the last one, which was tried before."""
        self._codes = self._taken[sent:-1] + self._codes
        self._taken = []


def with_product_data(machine: Machine, database: str, vouchers: int) -> Data:
    """A migrated database of the product with so many vouchers. Raises Missing if its books are not in order."""
    env = production_environment(machine, database, DATABASE_STATEMENT_TIMEOUT_MS="0")
    machine.create_database(database)
    manage(env, "migrate", "--verbosity", "0")
    connection = machine.connect(database)
    try:
        loaded = product_data.load(connection, vouchers=vouchers)
    finally:
        connection.close()
    # As the job would have: rows were loaded past the application.
    manage(env, "rebuild_daily_figures")
    audit(machine, database)
    machine.settle()
    return loaded


def audit(machine: Machine, database: str) -> None:
    """Run `manage.py audit` on a database of the product. Raises Missing with what it says if a rule is broken."""
    manage(production_environment(machine, database, DATABASE_STATEMENT_TIMEOUT_MS="0"), "audit")


def count_figures(machine: Machine, database: str) -> None:
    """Run the job that counts the figures of dashboards, as `celery beat` would every minute."""
    job = "from apps.analytics.tasks import update_daily_figures; update_daily_figures()"
    manage(production_environment(machine, database), "shell", "--verbosity", "0", "--command", job)


def forget_mail(machine: Machine, database: str) -> None:
    """Count what was queued as sent: no worker runs here, and the audit would miss the mail after ten minutes."""
    connection = machine.connect(database)
    try:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE post_office_email SET status = 0")
    finally:
        connection.close()


def start_product(
    machine: Machine,
    database: str,
    data: Data,
    pool: Pool | None,
    *,
    name: str = PRODUCT,
    limits: bool = False,
    **values: str,
) -> Opponent:
    """The product with its production settings, but for `values`, and gunicorn.conf.py; with limits, such that they
    refuse nobody."""
    stripe = local_stripe(f"{name}: Stripe", machine.home / f"{_slug(name)}-stripe.log", plain_environment())
    env = production_environment(
        machine, database, STRIPE_API_BASE=f"http://127.0.0.1:{stripe.port}", **values
    )
    if limits:
        env |= {"RATE_LIMITS_ENABLED": "True"} | {
            name: NO_LIMIT for name in env if name.startswith("LIMIT_") and name != "LIMIT_WIDE_NETWORK_TIMES"
        }
    server = gunicorn(name, "voucher_project.wsgi", machine.home / f"{_slug(name)}.log", env)
    server.wait_until_it_answers("/api/health/")
    return Opponent(name, server, database, data, stripe, pool=pool)


def load_twin(machine: Machine, vouchers: int) -> tuple[Data, Pool]:
    """The database `twin` with the same amount of data. Raises Missing if the twin is not there, or can't load."""
    if find_spec("bench.textbook") is None or find_spec("bench.textbook.data") is None:
        raise Missing("bench/textbook is not there: no ratios against A and B.")
    address = machine.create_database("twin")
    file = machine.home / "twin-codes"
    command = [sys.executable, "-m", "bench.textbook.data", address]
    command += ["--vouchers", str(vouchers), "--seed", "1", "--codes", str(file)]
    answer = json.loads(_run(command, plain_environment(SECRET_KEY=SECRET, DATABASE_URL=address)))
    codes = file.read_text().split()
    del answer["codes"]
    known = set(Data.__dataclass_fields__)
    data = Data(**{name: value for name, value in answer.items() if name in known}, codes=codes)
    machine.settle()
    return data, Pool(codes)


def start_twin(machine: Machine, data: Data, pool: Pool, *, name: str) -> Opponent:
    """The textbook twin under two sync workers: `A` with a connection for each request, `B` with persistent ones."""
    stripe = local_stripe(f"{name}: Stripe", machine.home / f"{name}-stripe.log", plain_environment())
    env = plain_environment(
        DATABASE_URL=machine.url("twin"),
        CONN_MAX_AGE="0" if name == A else "600",
        STRIPE_API_BASE=f"http://127.0.0.1:{stripe.port}",
        SECRET_KEY=SECRET,
    )
    # Named, as gunicorn would read the product's configuration, which is in this folder.
    options = ("--config", "bench/textbook/gunicorn_conf.py")
    server = gunicorn(name, "bench.textbook.wsgi:application", machine.home / f"{name}.log", env, *options)
    server.wait_until_it_answers("/api/vouchers/types/")
    return Opponent(name, server, "twin", data, stripe, pool=pool)


def start_floor(machine: Machine, database: str, data: Data, *, name: str) -> Opponent:
    """A floor under the product's gunicorn.conf.py, on the product's database. Raises Missing if it is not there."""
    application = FLOORS[name]
    if find_spec("bench.floors") is None or find_spec(application.partition(":")[0]) is None:
        raise Missing(f"{application} is not there: no floor of a {name}.")
    env = plain_environment(DATABASE_URL=machine.url(database), SECRET_KEY=SECRET)
    server = gunicorn(name, application, machine.home / f"{_slug(name)}.log", env)
    server.wait_until_it_answers("/")
    claims = {
        "token_type": "access",
        "user_id": str(data.redeemer_id),
        "jti": secrets.token_hex(16),
        "exp": int(time.time()) + 24 * 3600,
    }
    tokens = {"redeemer": jwt.encode(claims, SECRET, algorithm="HS256")}
    return Opponent(name, server, database, data, tokens=tokens)


def start_time(machine: Machine, database: str) -> tuple[float, float]:
    """Seconds on the clock, and of CPU, in which a new process loads the product: the better of three."""
    env = production_environment(machine, database)
    code = "import resource, voucher_project.wsgi; u = resource.getrusage(0); print(u.ru_utime + u.ru_stime)"
    samples = []
    for _ in range(3):
        began = time.perf_counter()
        cpu = float(_run([sys.executable, "-c", code], env))
        samples.append((time.perf_counter() - began, cpu))
    return min(samples)


def production_environment(machine: Machine, database: str, **values: str) -> dict[str, str]:
    """As in production behind one proxy, but for the local Stripe, no limits, and staff with a password alone."""
    return product_environment(
        **{
            "SECRET_KEY": SECRET,
            "DJANGO_SETTINGS_MODULE": "voucher_project.settings",
            "ALLOWED_HOSTS": "127.0.0.1",
            "DATABASE_URL": machine.url(database),
            "REDIS_URL": machine.redis,
            "STRIPE_SECRET_KEY": "sk_test_4242bench0123456789AbCdEf",
            "STRIPE_PUBLISHABLE_KEY": "pk_test_4242bench0123456789AbCdEf",
            "STRIPE_WEBHOOK_SECRET": "whsec_4242bench0123456789AbCdEf",
            "STRIPE_TEST_MODE": "True",
            "CORS_ALLOWED_ORIGINS": "https://app.example.org",
            "FRONTEND_URL": "https://app.example.org",
            "EMAIL_HOST": "localhost",
            "DEFAULT_FROM_EMAIL": "vouchers@example.org",
            "TRUSTED_PROXY_COUNT": "1",
            "RATE_LIMITS_ENABLED": "False",
            "STAFF_SECOND_FACTOR": "False",
            "TIME_ZONE": "UTC",
            "LOG_FILE": "none",
            **values,
        }
    )


def manage(env: dict[str, str], *arguments: str) -> str:
    """What `manage.py` wrote in this environment. Raises Missing with the end of it when it failed."""
    return _run([sys.executable, "manage.py", *arguments], env)


def _run(command: list[str], env: dict[str, str]) -> str:
    """What a program wrote. Raises Missing with the end of it when it failed."""
    done = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        raise Missing(f"{' '.join(command[1:4])} ended with {done.returncode}: {said[-1500:]}")
    return done.stdout


def _slug(name: str) -> str:
    return name.replace(" ", "-").lower()
