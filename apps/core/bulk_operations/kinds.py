"""The kinds of bulk operations. Each app registers its own, from the `ready` of its AppConfig."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field

from apps.core.models import BulkOperation


@dataclass(frozen=True)
class Kind:
    """How operations of a kind are done, and who may.

    `steps` does an operation from where it is, a step at each `next`. A step commits by itself, takes seconds at most,
    and may be the last for some time: the generator is then closed. All of `permissions` ("app.codename") are needed to
    start, stop and continue one. `outcomes` has the words for what its counts are called, in the order in which they
    are shown. `on_stop` is called when somebody stops one, in that transaction, with its row locked: for what is due at
    the end.
    """

    name: str
    permissions: tuple[str, ...]
    steps: Callable[[BulkOperation], Generator[None, None, None]]
    outcomes: Mapping[str, str] = field(default_factory=dict)
    on_stop: Callable[[BulkOperation], object] = lambda operation: None


_kinds: dict[str, Kind] = {}


def register(*kinds: Kind) -> None:
    """Add to the kinds that there are. Each name is used once."""
    for kind in kinds:
        assert kind.name not in _kinds, f"{kind.name} is registered already"
        _kinds[kind.name] = kind


def kind_of(operation: BulkOperation) -> Kind:
    """The kind of an operation. Raises KeyError for one that this version of the code does not know."""
    return _kinds[operation.kind]


def note_stop(operation: BulkOperation) -> None:
    """Do what is due when an operation is stopped; nothing for a kind that this version does not know."""
    if kind := _kinds.get(operation.kind):
        kind.on_stop(operation)


def permissions_of(operation: BulkOperation) -> tuple[str, ...]:
    """What is needed to control an operation; nothing special for a kind that this version does not know."""
    kind = _kinds.get(operation.kind)
    return kind.permissions if kind else ()


def outcomes_of(operation: BulkOperation) -> list[tuple[str, int]]:
    """What came of an operation's rows so far: in words, and how many."""
    kind = _kinds.get(operation.kind)
    words = kind.outcomes if kind else {}
    names = [*words, *(name for name in operation.counts if name not in words)]
    return [(words.get(name, name), operation.counts[name]) for name in names if name in operation.counts]
