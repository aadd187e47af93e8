"""Nothing secret in a log: keys and tokens (secret_patterns.py) are masked, and what the settings' redactors find.

A redactor (LOG_REDACTORS, dotted paths) takes a plain text, its escapes undone, and returns the start and end of each
secret in it. So an app keeps what it calls a secret to itself, and core knows how to look for it in an encoded text.
"""

import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from types import TracebackType
from typing import Final

from django.conf import settings
from django.utils.module_loading import import_string

from apps.core.plain_text import plain

from .secret_patterns import KEYS_AND_TOKENS

log = logging.getLogger(__name__)

Redactor = Callable[[str], Iterable[tuple[int, int]]]

LONGEST: Final = 20_000
_STRETCH: Final = 1000  # the longest spelling of a secret

# What stands for another character in an address, in JSON or in Python's own way of writing a text.
# A run of backslashes is taken whole and only from its first: from each of them anew, a long one would take minutes.
_BACKSLASHES: Final = r"(?<!\\)\\++"
_OCTET: Final = re.compile(rf"(?:%|{_BACKSLASHES}x)([0-9A-F]{{2}})", re.I)
_ESCAPES: Final = re.compile(
    rf"""(?P<octets>(?:{_OCTET.pattern})+)|{_BACKSLASHES}(?:u(?P<number>[0-9A-F]{{4}})|(?P<letter>[nrt"'/]))""",
    re.I,
)
_MEANT: Final = {"n": "\n", "r": "\r", "t": "\t"}


@cache
def load_redactors(paths: tuple[str, ...]) -> tuple[Redactor, ...]:
    """The redactors that dotted paths name. Raises ImportError."""
    return tuple(import_string(path) for path in paths)


def redact(text: str, redactors: Sequence[Redactor] | None = None) -> str:
    """The text with keys, tokens and what the redactors (by default those of the settings) find masked; the middle of a
    very long one is left out.

    Whatever the message comes from, Django's own "Not Found: /path", a driver's error or ours.
    """
    if redactors is None:
        redactors = load_redactors(tuple(settings.LOG_REDACTORS))
    if len(text) > LONGEST:
        # The rest of a secret after a cut is no longer recognized as one: it goes too.
        first, last = (redact(part, redactors) for part in (text[: LONGEST // 2], text[-LONGEST // 2 :]))
        return f"{first[:-_STRETCH]}… ({len(text)} characters) …{last[_STRETCH:]}"
    for sign, pattern in KEYS_AND_TOKENS:
        if sign in text:
            text = pattern.sub("***", text)
    decoded, places = _decoded(text)
    spans = [span for redactor in redactors for span in redactor(decoded)]
    masked, done = "", 0
    for start, end in sorted((places[start], places[end]) for start, end in spans):
        if start >= done:
            masked += text[done:start] + "***"
        done = max(done, end)
    return masked + text[done:]


def redacting_excepthook(
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType | None,
    *,
    redactors: Sequence[Redactor] | None = None,
) -> None:
    """As sys.excepthook: a traceback without secrets, for a command that nothing else catches.

    A database names the row that it refused, and so the secrets in it.
    """
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace)), redactors))


def log_thread_exception(failure: threading.ExceptHookArgs) -> None:
    """As threading.excepthook: what ended a thread is a line of the log, where Python would print it as it is."""
    if failure.exc_type is not SystemExit and failure.exc_value is not None:
        error = (failure.exc_type, failure.exc_value, failure.exc_traceback)
        log.error("Thread %s failed", failure.thread.name if failure.thread else "?", exc_info=error)


def _decoded(text: str) -> tuple[str, Sequence[int]]:
    """The text with its escapes undone, as plain as it goes; and where in the text each of its characters begins."""
    if "%" not in text and "\\" not in text:
        return plain(text), range(len(text) + 1)
    characters: list[str] = []
    places: list[int] = []
    done = 0
    for escape in _ESCAPES.finditer(text):
        characters.append(text[done : escape.start()])
        places += range(done, escape.start())
        done = escape.end()
        if escape["octets"]:
            octets = list(_OCTET.finditer(text, escape.start(), escape.end()))
            written, at = bytes(int(octet[1], 16) for octet in octets), 0
            for character in written.decode(errors="surrogateescape"):
                characters.append(character)
                places.append(octets[at].start())
                at += len(character.encode(errors="surrogateescape"))
        else:
            characters.append(
                chr(int(escape["number"], 16))
                if escape["number"]
                else _MEANT.get(escape["letter"], escape["letter"])
            )
            places.append(escape.start())
    characters.append(text[done:])
    places += range(done, len(text) + 1)
    return plain("".join(characters)), places
