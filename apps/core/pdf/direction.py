"""The order in which the characters of a line stand from left to right, by the Unicode bidirectional algorithm.

python-bidi says it of a whole text, and not where each character went; here its steps are taken one by one. It leaves
out the step for pairs of brackets (rule N0), without which "(2026)" falls apart beside words of both directions.
"""

import unicodedata
from typing import Any, Final, NamedTuple

from bidi import algorithm as bidi
from bidi.mirror import MIRRORED

_DIRECTIONS: Final = {"L": "L", "R": "R", "EN": "R", "AN": "R"}  # of types, to brackets


class Place(NamedTuple):
    """A character where it is drawn: its place in the order of reading, and what stands there, mirrored or not."""

    origin: int
    drawn: str
    level: int  # of embedding: odd ones run from right to left


def direction_of(text: str) -> str | None:
    """ "R" or "L", the direction of the whole, where some of a text runs from right to left; None where none does."""
    directions = [unicodedata.bidirectional(character) for character in text]
    if not any(direction in ("R", "AL", "AN") for direction in directions):
        return None
    strong = next((direction for direction in directions if direction in ("L", "R", "AL")), "R")
    return "L" if strong == "L" else "R"


def places_of(line: str, direction: str | None) -> list[Place]:
    """The characters of a line from left to right, but for joiners, which take no place. `direction`: of the whole."""
    if direction is None:
        return [Place(index, character, 0) for index, character in enumerate(line)]
    storage: dict[str, Any] = bidi.get_empty_storage()
    storage.update(base_level=int(direction == "R"), base_dir=direction)
    bidi.get_embedding_levels(line, storage)
    for index, character in enumerate(storage["chars"]):
        character["index"] = index
        # Python doesn't know the newest of Unicode, nor which way they run: as what stands beside them.
        character["type"] = character["orig"] = character["type"] or "ON"
    bidi.explicit_embed_and_overrides(storage)
    bidi.resolve_weak_types(storage)
    _resolve_brackets(storage["chars"], direction)
    bidi.resolve_neutral_types(storage, False)
    bidi.resolve_implicit_levels(storage, False)
    bidi.reorder_resolved_levels(storage, False)
    bidi.apply_mirroring(storage, False)
    return [Place(character["index"], character["ch"], character["level"]) for character in storage["chars"]]


def _resolve_brackets(characters: list[dict[str, Any]], direction: str) -> None:
    """Give both brackets of a pair the direction of the line, or that of all in and before them."""
    for opening, closing in _pairs([character["ch"] for character in characters]):
        inside = {_DIRECTIONS.get(character["type"]) for character in characters[opening + 1 : closing]} - {
            None
        }
        if not inside:
            continue
        if direction not in inside:
            before = (_DIRECTIONS.get(character["type"]) for character in reversed(characters[:opening]))
            resolved = next(filter(None, before), direction)
        else:
            resolved = direction
        characters[opening]["type"] = characters[closing]["type"] = resolved


def _pairs(characters: list[str]) -> list[tuple[int, int]]:
    """The places of brackets that belong together, by those that open."""
    pairs, open_ones = [], list[tuple[str, int]]()
    for index, character in enumerate(characters):
        match unicodedata.category(character):
            case "Ps" if character in MIRRORED:
                open_ones.append((MIRRORED[character], index))
            case "Pe" if any(character == closing for closing, _ in open_ones):
                while (last := open_ones.pop())[0] != character:
                    pass
                pairs.append((last[1], index))
    return sorted(pairs)
