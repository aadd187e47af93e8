"""Data for the product: so many vouchers with their transactions, uses and history, loaded by COPY.

Rows are made in the order of time, as they would have come in: owners lie mixed in the tables. The books are in order
(`manage.py audit` is clean). The same number and seed give the same rows, but for the days: they end yesterday.
"""

import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any, Final

from argon2 import PasswordHasher

from apps.vouchers import codes

PASSWORD: Final = "a bench pass phrase"
DAYS: Final = 400  # from the first sale until yesterday
VALIDITY: Final = 365  # days
TYPES: Final = 10  # on sale
MANY_USES: Final = 1_000_000
MANY: Final = 1_000  # vouchers with MANY_USES
RACE_USES: Final = 20
RACES: Final = 50  # vouchers with RACE_USES
HASHER: Final = PasswordHasher(
    time_cost=2, memory_cost=19 * 1024, parallelism=1
)  # as apps/users/passwords.py
PAYERS: Final = tuple(f"payer{number}" for number in range(16))  # who buy at the same time
CHUNK: Final = 20_000  # rows of a COPY

# The columns that are written; the database has a default for any other.
COLUMNS: Final = {
    "users_user": "id password is_superuser email first_name last_name is_active is_staff date_joined"
    " email_confirmed_at",
    "users_userprofile": "id user_id phone_number address profile_picture",
    "vouchers_vouchertype": "id name description price currency service_type is_active validity_days max_uses",
    "payments_transaction": "id type_name reference user_id voucher_type_id quantity unit_price amount currency"
    " service_type validity_days max_uses buyer_name buyer_email status stripe_payment_intent_id amount_refunded"
    " created_at updated_at completed_at",
    "vouchers_voucher": "id type_name code voucher_type_id user_id service_type face_value currency purchase_date"
    " expiry_date total_uses uses_remaining is_active inactive_reason",
    "payments_soldvoucher": "id transaction_id line_no voucher_id",
    "payments_receipt": "id number transaction_id paid_at time_zone shop_name contact seller_name seller_address"
    " seller_tax_number buyer_name buyer_email item detail quantity unit_price amount currency code_endings",
    "vouchers_voucherevent": "id voucher_id kind hold at reason details",
    "vouchers_voucherusage": "id voucher_id user_id service_type used_at details use_no",
}
HISTORY: Final = ("vouchers_voucher", "payments_transaction", "payments_soldvoucher")
LARGE: Final = (*HISTORY, "vouchers_voucherevent", "vouchers_voucherusage")


@dataclass(frozen=True)
class Data:
    """What the load needs to know of the rows: people by their address, codes, and a type that can be bought."""

    buyer20: str
    buyer100k: str
    redeemer: str
    staff: str
    password: str
    detail_code: str
    hot_code: str
    voucher_type: int
    redeemer_id: int = 0
    codes: list[str] = field(default_factory=list, repr=False)  # redeemable once
    race_codes: list[str] = field(default_factory=list, repr=False)  # with RACE_USES each
    many_codes: list[str] = field(default_factory=list, repr=False)  # with MANY_USES each


@dataclass(frozen=True)
class _Type:
    id: int
    name: str
    service: str
    cents: int
    max_uses: int

    @property
    def price(self) -> str:
        return _money(self.cents)


def load(connection: Any, *, vouchers: int, seed: int = 1) -> Data:
    """Fill the migrated and empty PostgreSQL database of a psycopg2 `connection` with so many vouchers."""
    connection.autocommit = True
    with connection.cursor() as cursor, _bulk_load(cursor):
        data = _Loader(cursor, vouchers, seed).load()
    with connection.cursor() as cursor:
        for table in COLUMNS:
            cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), coalesce(max(id), 1)) FROM {table}"
            )
        cursor.execute(
            "INSERT INTO payments_receiptcounter (id, last_number) SELECT 1, max(number) FROM payments_receipt"
        )
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CREATE TABLE bench_code (number integer PRIMARY KEY, code varchar(16) NOT NULL)")
        rows = "".join(f"{number}\t{code}\n" for number, code in enumerate(data.many_codes, start=1))
        cursor.copy_expert("COPY bench_code FROM STDIN", StringIO(rows))
    return data


@contextmanager
def _bulk_load(cursor: Any) -> Iterator[None]:
    """Load without looking up each foreign key, and build the indexes of the large tables afterwards, at once."""
    cursor.execute("SET maintenance_work_mem = '512MB'")
    cursor.execute("SET session_replication_role = replica")
    cursor.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
        " WHERE indrelid::regclass::text = ANY(%s)"
        " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)",
        [list(LARGE)],
    )
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    try:
        yield
    finally:
        for _, definition in indexes:
            cursor.execute(definition)
        cursor.execute("RESET session_replication_role")
        cursor.execute("RESET maintenance_work_mem")


class _Loader:
    """Makes the rows one transaction after the other, and writes them a chunk of each table at a time."""

    def __init__(self, cursor: Any, vouchers: int, seed: int) -> None:
        self.cursor = cursor
        self.vouchers = vouchers
        self.random = random.Random(seed)
        self.rows: dict[str, list[str]] = {table: [] for table in COLUMNS}
        self.numbers = dict.fromkeys(COLUMNS, 0)
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        # Days by number: 0 is the first of all, DAYS - 1 is yesterday.
        self.days = [f"{midnight + timedelta(days=n - DAYS):%Y-%m-%d}" for n in range(DAYS + VALIDITY + 1)]
        self.new_code = code_maker(self.random)
        self.redeemable: list[str] = []

    def load(self) -> Data:
        hashed = "argon2" + HASHER.hash(PASSWORD)
        buyer20, buyer100k, redeemer, _, holder, *_ = (
            self._person(f"{name}@bench.example", hashed, is_staff=name == "staff")
            for name in ("buyer20", "buyer100k", "redeemer", "staff", "holder", *PAYERS)
        )
        owned = min(100_000, self.vouchers // 2)
        crowd = [
            self._person(f"person{number}@bench.example", "!")
            for number in range(max(10, (self.vouchers - owned) // 100))
        ]
        types = [self._type(f"Voucher type {n}", f"service_{n}", cents=500 + 250 * n) for n in range(TYPES)]
        many = self._type("Many uses", "many_uses", max_uses=MANY_USES, on_sale=False)
        race = self._type("Race", "race", max_uses=RACE_USES, on_sale=False)
        hot_codes = self._sell(holder, many, 1, day=DAYS - 60)
        many_codes = self._sell(holder, many, MANY, day=DAYS - 60)
        race_codes = self._sell(holder, race, RACES, day=DAYS - 60)
        detail_codes: list[str] = []
        sales = self._sales(buyer20, buyer100k, owned, crowd)
        for number, (owner, quantity) in enumerate(sales):
            day = number * DAYS // len(sales)
            sold = self._sell(owner, self.random.choice(types), quantity, day=day, share_used=1 / 3)
            if owner == buyer20:
                detail_codes += sold
            if len(self.rows["vouchers_voucher"]) >= CHUNK:
                self._write()
        self._write()
        self.random.shuffle(self.redeemable)
        return Data(
            buyer20="buyer20@bench.example",
            buyer100k="buyer100k@bench.example",
            redeemer="redeemer@bench.example",
            staff="staff@bench.example",
            password=PASSWORD,
            detail_code=detail_codes[-1],
            hot_code=hot_codes[0],
            voucher_type=types[0].id,
            redeemer_id=redeemer,
            codes=self.redeemable,
            race_codes=race_codes,
            many_codes=many_codes,
        )

    def _sales(self, buyer20: int, buyer100k: int, owned: int, crowd: list[int]) -> list[tuple[int, int]]:
        """Owner and quantity of each sale, mixed. Of the crowd, each buys one, two and three in turn."""
        self.crowd = frozenset(crowd)
        sales = [(buyer20, 2)] * 10 + [(buyer100k, 2)] * (owned // 2)
        left, number = self.vouchers - 20 - owned // 2 * 2, 0
        while left > 0:
            quantity = min(number % 3 + 1, left)
            sales.append((crowd[number % len(crowd)], quantity))
            left, number = left - quantity, number + 1
        self.random.shuffle(sales)
        return sales

    def _sell(self, owner: int, kind: _Type, quantity: int, *, day: int, share_used: float = 0) -> list[str]:
        """A paid transaction on a day with its vouchers and their history, some of them used; their codes."""
        second = self.random.randrange(86_000)
        at = f"{self.days[day]} {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}+00"
        terms = f"{kind.service}\t{VALIDITY}\t{kind.max_uses}"
        total = _money(kind.cents * quantity)
        sale = self._add(
            "payments_transaction",
            f"{kind.name}\t{uuid.UUID(int=self.random.getrandbits(128), version=4)}\t{owner}\t{kind.id}\t{quantity}"
            f"\t{kind.price}\t{total}\tUSD\t{terms}\tBea Buyer\tbuyer@bench.example\tcompleted"
            f"\tpi_bench{self.random.getrandbits(64):016x}\t0\t{at}\t{at}\t{at}",
        )
        expiry = f"{self.days[day + VALIDITY]} 23:59:59+00"
        issued = []
        for line in range(1, quantity + 1):
            code, used = self.new_code(), self.random.random() < share_used
            voucher = self._add(
                "vouchers_voucher",
                f"{kind.name}\t{code}\t{kind.id}\t{owner}\t{kind.service}\t{kind.price}\tUSD\t{at}\t{expiry}"
                f"\t{kind.max_uses}\t{kind.max_uses - used}\tt\t",
            )
            self._add("payments_soldvoucher", f"{sale}\t{line}\t{voucher}")
            self._add("vouchers_voucherevent", f"{voucher}\tissued\t\t{at}\t\t{{}}")
            if used:
                use_day = self.days[min(day + self.random.randrange(30), DAYS - 1)]
                self._add(
                    "vouchers_voucherusage",
                    f"{voucher}\t{owner}\t{kind.service}\t{use_day} 23:59:58+00\t{{}}\t1",
                )
            elif owner in self.crowd and day + VALIDITY > DAYS + 1:
                self.redeemable.append(code)
            issued.append(code)
        receipt = self.numbers["payments_receipt"] + 1
        self._add(
            "payments_receipt",
            f"{receipt}\t{sale}\t{at}\tUTC\tBench\t\tBench Ltd\t1 Main Street, Accra\tTIN C0001\tBea Buyer"
            f"\tbuyer@bench.example\t{kind.name}\t{kind.name}, 1 use each\t{quantity}\t{kind.price}\t{total}\tUSD"
            f"\t{' '.join(code[-4:] for code in issued)}",
        )
        return issued

    crowd: frozenset[int] = frozenset()

    def _person(self, email: str, password: str, *, is_staff: bool = False) -> int:
        flags = ("f", "tf")[is_staff]
        person = self._add(
            "users_user",
            f"{password}\t{flags[0]}\t{email}\tBea\tBench\tt\t{flags[0]}\t{self.days[0]} 00:00:00+00"
            f"\t{self.days[0]} 00:00:00+00",
        )
        self._add("users_userprofile", f"{person}\t\t\t")
        return person

    def _type(
        self, name: str, service: str, *, cents: int = 1000, max_uses: int = 1, on_sale: bool = True
    ) -> _Type:
        description = f"What {name.lower()} is for, in one line as a catalogue has it."
        row = (
            f"{name}\t{description}\t{_money(cents)}\tUSD\t{service}\t{'ft'[on_sale]}\t{VALIDITY}\t{max_uses}"
        )
        return _Type(self._add("vouchers_vouchertype", row), name, service, cents, max_uses)

    def _add(self, table: str, row: str) -> int:
        """Keep a row for the next `_write`; its id."""
        self.numbers[table] += 1
        self.rows[table].append(f"{self.numbers[table]}\t{row}\n")
        return self.numbers[table]

    def _write(self) -> None:
        for table, rows in self.rows.items():
            columns = ", ".join(COLUMNS[table].split())
            self.cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", StringIO("".join(rows)))
            rows.clear()


def hash_milliseconds() -> float:
    """The CPU time of checking one password: what a sign-in can't go below. The least of several, on one core alone."""
    hashed, times = HASHER.hash(PASSWORD), []
    for _ in range(9):
        began = time.process_time()
        HASHER.verify(hashed, PASSWORD)
        times.append(time.process_time() - began)
    return 1000 * min(times)


def code_maker(source: random.Random) -> Any:
    """A function that makes valid codes fast: three symbols at a time, with their share of the check sum."""
    base = codes.BASE
    inverse = pow(codes.LENGTH, -1, base)
    triples = []
    for start in range(1, codes.LENGTH, 3):  # positions are counted from 1
        triples.append(
            [
                (
                    codes.ALPHABET[a] + codes.ALPHABET[b] + codes.ALPHABET[c],
                    start * a + (start + 1) * b + (start + 2) * c,
                )
                for a in range(base)
                for b in range(base)
                for c in range(base)
            ]
        )
    size, chance = base**3, source.random

    def make() -> str:
        symbols, total = "", 0
        for table in triples:
            three, share = table[int(chance() * size)]
            symbols += three
            total += share
        return symbols + codes.ALPHABET[-total * inverse % base]

    return make


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"
