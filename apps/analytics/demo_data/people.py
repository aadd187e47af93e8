"""The people of the demo history: buyers from several countries, schools, and a member of staff."""

import re
import unicodedata
from bisect import bisect
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Final

from django.contrib.auth.hashers import make_password

from apps.users.models import CLOSED_DOMAIN, User

DOMAIN: Final = "demo.example"  # RFC 2606: no mail to it ever arrives
CLOSING: Final = 0.07  # share of the accounts that are closed in the end

# First and last names that go together, by country.
NAMES: Final = (
    ("Ama Kwame Efua Kofi Akosua Yaw Abena Kojo Esi Nana", "Mensah Boateng Owusu Asante Appiah Osei Agyeman"),
    (
        "Chinedu Ngozi Tunde Aisha Emeka Folake Ibrahim Zainab",
        "Okafor Adeyemi Bello Eze Nwosu Balogun Danjuma",
    ),
    ("Wanjiru Otieno Achieng Kamau Njeri Kiprop Mumbi", "Mwangi Odhiambo Kariuki Wekesa Cheruiyot Njoroge"),
    ("Fatou Moussa Aminata Cheikh Mariama Ousmane", "Diop Ndiaye Traoré Sow Diallo Camara"),
    ("Priya Arjun Ananya Rohan Kavya Vikram Meera", "Sharma Patel Iyer Reddy Nair Gupta Das"),
    ("José Lucía Mateo Inés Andrés Sofía", "García Núñez Herrera Ibáñez Peña Castro"),
    ("Łukasz Zofia Zoë Jürgen Chloé Søren", "Kowalska Müller Lefèvre Sørensen Nowak Jansen"),
    ("Wei Mei Minh Linh Haruka Jun", "Chen Nguyễn Tanaka Wong Trần Sato"),
)
SCHOOLS: Final = (
    "Achimota Hill Senior High School",
    "Lakeside Girls' Academy",
    "St. Brendan's College",
    "Northern Star Technical Institute",
    "Riverbank Community School",
    "Mount Zion Secondary School",
)


@dataclass
class Person:
    """A user, how keen a buyer they are, and when their account is closed, if it is."""

    user: User
    activity: float
    closed_at: datetime | None = None

    def is_open(self, at: datetime) -> bool:
        """Whether they have an account at that time."""
        return self.user.date_joined <= at and (self.closed_at is None or at < self.closed_at)


class People:
    """Everybody in the history. `buyers` are in the order in which they joined."""

    def __init__(self, random: Random, number: int, start: datetime, end: datetime) -> None:
        self.staff = _user("Sena", "Addo", f"staff@{DOMAIN}", start - timedelta(days=90), is_staff=True)
        self.buyers = sorted(
            (_person(random, index, start, end) for index in range(number)),
            key=lambda person: person.user.date_joined,
        )
        self.joined = [person.user.date_joined for person in self.buyers]
        self.activity = list(accumulate(person.activity for person in self.buyers))
        self.schools = [
            _user("Bursar", SCHOOLS[index % len(SCHOOLS)], f"bursar.{index}@{DOMAIN}", start)
            for index in range(1 + number // 50)
        ]

    def draw(self, random: Random, at: datetime) -> Person | None:
        """Somebody who has an account at that time, the keen ones more often; None if luck has it."""
        joined = bisect(self.joined, at)
        for _ in range(10 if joined else 0):
            person = self.buyers[
                min(bisect(self.activity, random.random() * self.activity[joined - 1]), joined - 1)
            ]
            if person.is_open(at):
                return person
        return None

    def users(self) -> list[User]:
        """All of them, the oldest account first."""
        users = [self.staff, *self.schools, *(person.user for person in self.buyers)]
        return sorted(users, key=lambda user: user.date_joined)

    def close(self, random: Random, end: datetime) -> list[User]:
        """Erase who they were from the accounts that are closed at the end; these."""
        closed = [person.user for person in self.buyers if person.closed_at and person.closed_at <= end]
        for user in closed:
            user.email = f"closed-{random.getrandbits(128):032x}@{CLOSED_DOMAIN}"
            user.first_name = user.last_name = ""
            user.is_active = False
        return closed


def _person(random: Random, index: int, start: datetime, end: datetime) -> Person:
    first_names, last_names = random.choice(NAMES)
    first, last = random.choice(first_names.split()), random.choice(last_names.split())
    # A quarter was there before the first sale; the others came since, more of them early.
    since = 0.0 if index % 4 == 0 else random.random() ** 1.4
    joined = start - timedelta(hours=random.uniform(1, 1000)) if not since else start + (end - start) * since
    person = Person(
        _user(first, last, f"{_ascii(first)}.{_ascii(last)}.{index}@{DOMAIN}", joined),
        activity=random.lognormvariate(0, 0.8),
    )
    if random.random() < CLOSING:
        person.closed_at = joined + (end - joined) * random.uniform(0.3, 0.95)
    return person


def _user(first: str, last: str, email: str, joined: datetime, *, is_staff: bool = False) -> User:
    """A user with a confirmed address, who can't sign in by password."""
    user = User(email=email, first_name=first, last_name=last, date_joined=joined, is_staff=is_staff)
    user.email_confirmed_at = joined
    user.password = make_password(None)
    return user


def _ascii(name: str) -> str:
    """The letters of a name that an address may have."""
    plain = unicodedata.normalize("NFKD", name.lower().replace("ł", "l").replace("ø", "o"))
    return re.sub("[^a-z]", "", plain)
