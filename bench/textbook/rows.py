"""The rows of the twin's tables, as lines of COPY's text format; no database here.

The shape is that of the product's rows in the benchmark: ten types on sale, a purchase for two vouchers, in the order
of time over 400 days, each third voucher used, owners mixed.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import NamedTuple

from .shop.codes import ALPHABET

COLUMNS = {
    "vouchertype": "id name description price currency service_type is_active validity_days max_uses",
    "user": "id password is_superuser email first_name last_name language is_active is_staff date_joined",
    "userprofile": "user_id phone_number address profile_picture expiry_reminders",
    "transaction": "id user_id voucher_type_id quantity unit_price amount currency status stripe_payment_intent_id"
    " amount_refunded created_at updated_at completed_at",
    "voucher": "id code voucher_type_id user_id transaction_id face_value currency purchase_date expiry_date"
    " total_uses uses_remaining is_active inactive_reason",
    "voucherusage": "voucher_id user_id service_type used_at details use_no",
    "voucherevent": "voucher_id kind reason at",
}
PAYERS = tuple(f"payer{number}" for number in range(16))
PEOPLE = ("buyer20", "buyer100k", "redeemer", "staff", "holder", *PAYERS)
BUYER20, BUYER100K, REDEEMER, STAFF, HOLDER = range(1, 6)
DAYS, VALIDITY = 400, 365
TYPES = 10  # on sale
RACES, RACE_USES = 50, 20
HOT_USES = 1_000_000

Row = tuple[str, str]  # a table, and a line for it


class Type(NamedTuple):
    id: int
    name: str
    service_type: str
    price: str
    max_uses: int = 1
    on_sale: int = 1


ON_SALE = [
    Type(number + 1, f"Voucher type {number}", f"service_{number}", f"{5 + 2.5 * number:.2f}")
    for number in range(TYPES)
]
HOT = Type(TYPES + 1, "Many uses", "many_uses", "10.00", HOT_USES, on_sale=0)
RACE = Type(TYPES + 2, "Race", "race", "10.00", RACE_USES, on_sale=0)


def address(person: str) -> str:
    return f"{person}@bench.example"


@dataclass
class Books:
    """The rows for so many vouchers. The codes are known once rows() has ended."""

    size: int
    seed: int
    password: str
    redeemable: list[str] = field(default_factory=list)  # of other people, with their one use left
    race_codes: list[str] = field(default_factory=list)
    hot_code: str = ""
    detail_code: str = ""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        # By number: 0 is the first day, DAYS - 1 is yesterday.
        self.days = [f"{midnight + timedelta(days=n - DAYS):%Y-%m-%d}" for n in range(DAYS + VALIDITY)]
        self.owned = min(100_000, self.size // 2)
        self.crowd = range(len(PEOPLE) + 1, len(PEOPLE) + 1 + max(10, (self.size - self.owned) // 100))
        self.sale_ids, self.voucher_ids = count(1), count(1)

    def rows(self) -> Iterator[Row]:
        """All rows, each after those that it refers to."""
        for kind in (*ON_SALE, HOT, RACE):
            about = f"What {kind.name.lower()} is for, in one line as a catalogue has it."
            yield (
                "vouchertype",
                f"{kind.id}\t{kind.name}\t{about}\t{kind.price}\tUSD\t{kind.service_type}\t{kind.on_sale}"
                f"\t{VALIDITY}\t{kind.max_uses}",
            )
        names = (*PEOPLE, *(f"person{number}" for number in range(len(self.crowd))))
        for number, name in enumerate(names, start=1):
            yield from self._person(number, name)
        yield from self._sale(HOLDER, HOT, 1, DAYS - 60)
        yield from self._sale(HOLDER, RACE, RACES, DAYS - 60)
        owners = self._owners()
        for number, owner in enumerate(owners):
            # Of the crowd, each buys one, two and three in turn.
            buyer, quantity = (owner, 2) if owner else (self.random.choice(self.crowd), number % 3 + 1)
            yield from self._sale(
                buyer, self.random.choice(ON_SALE), quantity, number * DAYS // len(owners), share_used=1 / 3
            )

    def _owners(self) -> list[int]:
        """Who buys, purchase by purchase; 0 is any of the crowd."""
        left = self.size - 20 - self.owned
        owners = [BUYER20] * 10 + [BUYER100K] * (self.owned // 2) + [0] * (left // 2)
        self.random.shuffle(owners)
        return owners

    def _person(self, number: int, name: str) -> Iterator[Row]:
        password = self.password if number <= len(PEOPLE) else "!"
        staff, joined = int(number == STAFF), f"{self.days[0]} 00:00:00+00:00"
        yield (
            "user",
            f"{number}\t{password}\t{staff}\t{address(name)}\tBea\tBench\ten\t1\t{staff}\t{joined}",
        )
        yield "userprofile", f"{number}\t\t\t\t1"

    def _sale(self, owner: int, kind: Type, quantity: int, day: int, share_used: float = 0) -> Iterator[Row]:
        """A paid transaction with its vouchers and their history, some of them used."""
        sale = next(self.sale_ids)
        at = f"{self.days[day]} {self._time()}"
        amount = f"{float(kind.price) * quantity:.2f}"
        yield (
            "transaction",
            f"{sale}\t{owner}\t{kind.id}\t{quantity}\t{kind.price}\t{amount}\tUSD\tcompleted"
            f"\tpi_bench{sale:016x}\t0.00\t{at}\t{at}\t{at}",
        )
        expiry = f"{self.days[min(day + VALIDITY, len(self.days) - 1)]} 23:59:59+00:00"
        for _ in range(quantity):
            voucher, code, used = next(self.voucher_ids), self._code(), self.random.random() < share_used
            self._note(code, owner, kind, is_redeemable=not used and day + VALIDITY > DAYS + 1)
            yield (
                "voucher",
                f"{voucher}\t{code}\t{kind.id}\t{owner}\t{sale}\t{kind.price}\tUSD\t{at}\t{expiry}"
                f"\t{kind.max_uses}\t{kind.max_uses - used}\t1\t",
            )
            yield "voucherevent", f"{voucher}\tissued\t\t{at}"
            if used:
                used_at = f"{self.days[min(day + self.random.randrange(30), DAYS - 1)]} 23:59:58+00:00"
                yield "voucherusage", f"{voucher}\t{owner}\t{kind.service_type}\t{used_at}\t{{}}\t1"

    def _note(self, code: str, owner: int, kind: Type, *, is_redeemable: bool) -> None:
        if kind is HOT:
            self.hot_code = code
        elif kind is RACE:
            self.race_codes.append(code)
        elif owner == BUYER20:
            self.detail_code = code
        elif owner != BUYER100K and is_redeemable:
            self.redeemable.append(code)

    def _time(self) -> str:
        second = self.random.randrange(86_000)
        return f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}+00:00"

    def _code(self) -> str:
        symbols = self.random.randbytes(16).translate(_SYMBOLS).decode()
        return f"{symbols[:4]}-{symbols[4:8]}-{symbols[8:12]}-{symbols[12:]}"


_SYMBOLS = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))
