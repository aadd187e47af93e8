"""What is held about a person, part by part: each app registers its own, so that this one needs to know none.

A part's `export` gives plain JSON values in a constant number of queries, or, where there may be very many rows, an
iterator over lists of them. Its `erase` runs in the transaction that closes the account, and leaves the books as they
are: amounts, counts and states stay.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .models import User


@dataclass(frozen=True)
class Part:
    """One app's share of what is held about a person."""

    export: Callable[[User], Any]
    erase: Callable[[User], None] | None


_parts: dict[str, Part] = {}
_also_erase: list[Callable[[User], None]] = []


def register(
    name: str, *, export: Callable[[User], Any], erase: Callable[[User], None] | None = None
) -> None:
    """Add the part `name`, from the `ready` of an AppConfig. Without `erase`, nothing in it says who it was."""
    _parts[name] = Part(export, erase)


def register_erasure(erase: Callable[[User], None]) -> None:
    """Add what else has to be done when an account closes, for an app that only derives figures from other parts."""
    _also_erase.append(erase)


def names() -> tuple[str, ...]:
    """The parts that are registered."""
    return tuple(_parts)


def export(user: User) -> Iterator[tuple[str, Any]]:
    """Everything held about `user`, part by part."""
    return ((name, part.export(user)) for name, part in _parts.items())


def erase(user: User) -> None:
    """Erase from every part what says who `user` is. `user` still has the address from before."""
    for part in _parts.values():
        if part.erase:
            part.erase(user)
    for erase_derived in _also_erase:
        erase_derived(user)
