"""Faults that tests inject into the next requests."""

from __future__ import annotations

import re
import time
from dataclasses import fields
from typing import Any

from local_stripe.runtime.json_types import JsonDict
from local_stripe.runtime.records import Fault
from local_stripe.runtime.state import State


def fault_of(spec: JsonDict) -> Fault:
    """A fault from its JSON form. Raises ValueError for unknown names, wrong types and bad expressions."""
    known = {f.name: f.default for f in fields(Fault)}
    for name, value in spec.items():
        if name not in known:
            raise ValueError(f"Unknown member of a fault: {name}. Known are: {', '.join(known)}.")
        _check(name, value, known[name])
    fault = Fault(**spec)
    re.compile(fault.path if fault.path.startswith("^") else "")
    statuses = (fault.status, fault.status_after_effect)
    if not all(status == 0 or 400 <= status <= 599 for status in statuses):
        raise ValueError("A fault's status is between 400 and 599.")
    if not 0 <= fault.delay <= 300 or not 0 <= fault.effect_then_delay <= 300 or fault.times < 1:
        raise ValueError("delay is 0 to 300 seconds, times at least 1.")
    if fault.above_per_second < 0:
        raise ValueError("above_per_second is a number of requests.")
    if not (
        any(statuses) or fault.delay or fault.drop or fault.drops_after_effect or fault.effect_then_delay
    ):
        raise ValueError("Say what goes wrong: status, delay, drop, effect_then_error or effect_then_delay.")
    return fault


def take(state: State, method: str, path: str) -> Fault | None:
    """The first fault meant for this request, used up by one. The caller holds the lock."""
    for fault in state.faults:
        if fault.matches(method, path):
            if fault.above_per_second:
                if fault.spares(time.monotonic()):
                    continue
                return fault
            fault.times -= 1
            if fault.times == 0:
                state.faults.remove(fault)
            return fault
    return None


def _check(name: str, value: Any, default: Any) -> None:
    if name == "effect_then_error":
        right = isinstance(value, int) or value == "drop"
    elif isinstance(default, bool):
        right = isinstance(value, bool)
    elif isinstance(default, str):
        right = isinstance(value, str)
    elif isinstance(default, float):
        right = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        right = isinstance(value, int) and not isinstance(value, bool)
    if not right:
        raise ValueError(f"A fault's {name} cannot be {value!r}.")
