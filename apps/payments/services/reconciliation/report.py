"""What a reconciliation reports."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ReportedDifference:
    """A difference between the books and Stripe, by its stable name: docs/books.md says how to repair it."""

    name: str
    about: str
    repaired: bool = False


@dataclass
class Report:
    """The outcome of a reconciliation; `complete` is False when Stripe did not answer to the end."""

    differences: list[ReportedDifference] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    complete: bool = True

    @property
    def open(self) -> list[ReportedDifference]:
        """The differences that are still there."""
        return [difference for difference in self.differences if not difference.repaired]

    def count(self, what: str) -> None:
        """Count one more thing of a kind that was compared."""
        self.checked[what] = self.checked.get(what, 0) + 1
