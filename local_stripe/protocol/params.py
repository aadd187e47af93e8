"""Readers of parameters: each takes a parameter's name and raw value and returns its value or raises.

``read`` applies a table of them and refuses unknown and missing parameters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from local_stripe.protocol import currencies
from local_stripe.protocol.errors import invalid, missing_parameter, unknown_parameters
from local_stripe.runtime.json_types import JsonDict

Reader = Callable[[str, Any], Any]

MAX_METADATA_KEYS = 50
MAX_METADATA_KEY = 40
MAX_METADATA_VALUE = 500


def read(
    params: JsonDict, readers: Mapping[str, Reader], required: Sequence[str] = (), inside: str = ""
) -> JsonDict:
    """The values of ``params``. Raises ``parameter_unknown``, ``parameter_missing`` or a reader's error."""
    full = {name: f"{inside}[{name}]" if inside else name for name in {*params, *required}}
    unknown = [full[name] for name in params if name not in readers]
    if unknown:
        raise unknown_parameters(unknown)
    for name in required:
        if name not in params:
            raise missing_parameter(full[name])
    return {name: readers[name](full[name], raw) for name, raw in params.items()}


def text(longest: int = 5000) -> Reader:
    """A string that is not empty."""

    def reader(name: str, raw: Any) -> str:
        if not isinstance(raw, str):
            raise invalid(f"Invalid string: {name}", name)
        if raw == "":
            raise invalid(
                f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a "
                f"parameter; however '{name}' cannot be unset. You should remove '{name}' from your request "
                "or supply a non-empty value.",
                name,
                "parameter_invalid_empty",
            )
        if len(raw) > longest:
            raise invalid(f"Invalid string: {name} must be at most {longest} characters", name)
        return raw

    return reader


def statement(name: str, raw: Any) -> str:
    """What stands on a card's statement (docs, "Statement descriptors"): Latin characters, one of them a letter."""
    words: str = text(22)(name, raw)
    if not re.search("[A-Za-z]", words):
        raise invalid("The statement descriptor must contain at least one alphabetic character.", name)
    if not words.isprintable() or words.encode("latin-1", "replace").decode("latin-1") != words:
        raise invalid("The statement descriptor must contain only Latin characters.", name)
    if forbidden := set(words) & set("<>\\'\"*"):
        raise invalid(
            f"The statement descriptor contains invalid characters: {''.join(sorted(forbidden))}", name
        )
    return words


def clearable(inner: Reader) -> Reader:
    """``inner``, or None for the empty string, by which Stripe unsets a value."""
    return lambda name, raw: None if raw == "" else inner(name, raw)


def integer(least: int | None = None) -> Reader:
    """A whole number written in ASCII digits."""

    def reader(name: str, raw: Any) -> int:
        raw = text()(name, raw)
        if not re.fullmatch(r"-?[0-9]{1,18}", raw):
            raise invalid(f"Invalid integer: {raw[:100]}", name, "parameter_invalid_integer")
        number = int(raw)
        if least is not None and number < least:
            message = f"This value must be greater than or equal to {least}."
            raise invalid(message, name, "parameter_invalid_integer")
        return number

    return reader


def boolean(name: str, raw: Any) -> bool:
    """``true`` or ``false``."""
    if raw not in ("true", "false"):
        raise invalid(f"Invalid boolean: {str(raw)[:100]}", name)
    return bool(raw == "true")


def choice(*values: str) -> Reader:
    """One of ``values``."""

    def reader(name: str, raw: Any) -> str:
        if raw not in values:
            raise invalid(f"Invalid {name}: must be one of {', '.join(values)}", name)
        return str(raw)

    return reader


def unmodelled(name: str, raw: Any) -> Any:
    """A parameter that Stripe knows and the local Stripe does not: refused rather than silently ignored."""
    raise invalid(
        f"Received unknown parameter: {name} (Stripe knows it, the local Stripe does not model it)",
        name,
        "parameter_unknown",
    )


def currency(name: str, raw: Any) -> str:
    """A supported currency, in lower case."""
    raw = text()(name, raw)
    if raw not in currencies.SUPPORTED:
        known = ", ".join(sorted(currencies.SUPPORTED))
        raise invalid(
            f"Invalid currency: {raw[:10]}. Stripe currently supports these currencies: {known}", name
        )
    return str(raw)


def url(name: str, raw: Any) -> str:
    """An absolute address, also of a mobile app."""
    raw = text()(name, raw)
    try:
        parts = urlsplit(raw)
    except ValueError:
        parts = urlsplit("")
    if not parts.scheme or not parts.netloc or parts.scheme in ("javascript", "data"):
        raise invalid("Not a valid URL", name, "url_invalid")
    return str(raw)


def email(name: str, raw: Any) -> str:
    """Something with one @."""
    raw = text(800)(name, raw)
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", raw):
        raise invalid(f"Invalid email address: {raw[:100]}", name, "email_invalid")
    return str(raw)


def array(of: Reader) -> Reader:
    """A list: ``name[]=a&name[]=b`` or ``name[0]=a``."""

    def reader(name: str, raw: Any) -> list[Any]:
        if not isinstance(raw, dict) or not all(index.isdecimal() for index in raw):
            raise invalid("Invalid array", name)
        return [of(f"{name}[{index}]", raw[index]) for index in sorted(raw, key=int)]

    return reader


def mapping(readers: Mapping[str, Reader], required: Sequence[str] = ()) -> Reader:
    """An object with known members."""

    def reader(name: str, raw: Any) -> JsonDict:
        if not isinstance(raw, dict):
            raise invalid("Invalid object", name)
        return read(raw, readers, required, name)

    return reader


def metadata(name: str, raw: Any) -> dict[str, str] | None:
    """Keys and values within Stripe's limits (docs, "Metadata"); None asks to drop all, "" to drop one."""
    if raw == "":
        return None
    if not isinstance(raw, dict):
        raise invalid("Invalid object", name)
    for key, value in raw.items():
        if not isinstance(value, str):
            raise invalid(f"Invalid string: {name}[{key}]", f"{name}[{key}]")
        if len(key) > MAX_METADATA_KEY:
            raise invalid(
                f"Metadata keys can have up to {MAX_METADATA_KEY} characters; one has {len(key)}.", name
            )
        if len(value) > MAX_METADATA_VALUE:
            raise invalid(
                f"Metadata values can have up to {MAX_METADATA_VALUE} characters, but you passed in a value "
                f"that is {len(value)} characters.",
                f"{name}[{key}]",
            )
    check_metadata_size(raw, name)
    return dict(raw)


def check_metadata_size(values: Mapping[str, str], name: str = "metadata") -> None:
    """Raise if an object would have more keys than Stripe keeps."""
    if len(values) > MAX_METADATA_KEYS:
        raise invalid(
            f"Metadata can have up to {MAX_METADATA_KEYS} keys, but there were {len(values)}.", name
        )


def merged_metadata(old: dict[str, str], new: dict[str, str] | None) -> dict[str, str]:
    """Metadata after an update: keys merge, an empty value drops its key, None drops all."""
    if new is None:
        return {}
    values = {key: value for key, value in {**old, **new}.items() if value != ""}
    check_metadata_size(values)
    return values
