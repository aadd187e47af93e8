"""Statements whose text is always the same: PostgreSQL parses each once for a connection, and plans it a few times.

For a short query that takes longer than reading its rows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

_NAMES: Final = re.compile(r"%\((\w+)\)s")
_PLACES: Final = re.compile(r"%[%s]")


class StaticSql(str):
    """The text of a statement, to be created once and executed many times, with places for values (`%s`, `%(name)s`).

    A cursor straight to PostgreSQL makes it a prepared statement (`PreparingCursor`); behind a
    pooler and for SQLite it is a text as any other. It has no value that is a secret or differs from call to call.

    PostgreSQL takes two `%s` for different values, so it does not see that what it groups by is what it reads:
    `numbers` says for each `%s` which value it is, from 1 on, and `types` are those of the values in this order.
    Without types PostgreSQL finds them where the values stand; where it can't, the text casts: `%(key)s::text`.
    """

    # Of the prepared statement, in each connection. By its text: where two processes share a connection, as by a pooler
    # that nobody told us of, a name must never execute the statement of another.
    name: str
    types: Sequence[str]

    def __new__(
        cls, text: str, *, numbers: Sequence[int] | None = None, types: Sequence[str] = ()
    ) -> StaticSql:
        sql = super().__new__(cls, text)
        sql.names = tuple(dict.fromkeys(_NAMES.findall(text)))
        if numbers is None:
            numbers = range(1, _PLACES.findall(text).count("%s") + 1)
        sql.numbers = tuple(numbers)
        sql.types = types
        whole = f"{sql.numbered}\0{', '.join(types)}".encode()
        sql.name = f"static_{hashlib.sha256(whole).hexdigest()[:24]}"
        return sql

    names: tuple[str, ...]  # of the values, if they have names
    numbers: tuple[int, ...]

    @cached_property
    def numbered(self) -> str:
        """The text with places as PREPARE has them: `$1`."""
        if self.names:
            return self % {name: f"${number}" for number, name in enumerate(self.names, start=1)}
        # Without values a driver leaves the text as it is, also what stands for a percent sign.
        return self % tuple(f"${number}" for number in self.numbers) if self.numbers else str(self)

    @cached_property
    def places(self) -> str:
        """A place for each value, in brackets, as EXECUTE has them; empty without values."""
        number = len(self.names) or max(self.numbers, default=0)
        return f"({', '.join(['%s'] * number)})" if number else ""

    def values(self, parameters: Any) -> Sequence[Any]:
        """The values for `places`, from those for the text."""
        if self.names:
            by_name: Mapping[str, Any] = parameters
            return [by_name[name] for name in self.names]
        if len(self.numbers) == max(self.numbers, default=0):
            return list(parameters or ())
        return list(dict(zip(self.numbers, parameters, strict=True)).values())
