"""What the local Stripe remembers, in tables that know which of their rows may have changed."""

from __future__ import annotations

from typing import Any, TypeVar

V = TypeVar("V")
D = TypeVar("D")


class Table(dict[str, V]):
    """Rows by id, the oldest first. ``touched`` has the ids of those that may differ from the file, in their order.

    Whoever takes a row by its id may change it in place, so that touches it; going through all rows touches none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.touched: dict[str, None] = {}

    def __getitem__(self, id: str) -> V:
        self.touched[id] = None
        return super().__getitem__(id)

    def __setitem__(self, id: str, row: V) -> None:
        self.touched[id] = None
        super().__setitem__(id, row)

    def __delitem__(self, id: str) -> None:
        self.touched[id] = None
        super().__delitem__(id)

    def get(self, id: str, default: Any = None) -> Any:
        """The row, or ``default``."""
        self.touched[id] = None
        return super().get(id, default)

    def pop(self, id: str, default: Any = None) -> Any:
        """Remove the row, and return it, or ``default``."""
        self.touched[id] = None
        return super().pop(id, default)

    def clear(self) -> None:
        """Remove all rows."""
        self.touched.update(dict.fromkeys(self))
        super().clear()
