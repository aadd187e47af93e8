"""The examples of the OpenAPI document: requests and answers that were recorded from this application.

`settings.API_DESCRIPTION["examples"]` is a folder of JSON files. Each has, by operation, `request` (a body), `answers`
(bodies by status) and `problems` (problem documents by their code). What is under `*` are problems that any operation
may answer. A test sends the requests again and compares.
"""

import json
from functools import cache
from typing import Any, Final

from django.conf import settings

from apps.core.api import problems

ANY_OPERATION: Final = "*"


@cache
def _recorded() -> dict[str, dict[str, Any]]:
    examples: dict[str, dict[str, Any]] = {}
    for path in sorted(settings.API_DESCRIPTION["examples"].glob("*.json")):
        examples |= json.loads(path.read_text())
    return examples


def request_example(operation_id: str) -> Any:
    """The body of a request to the operation; None if none was recorded."""
    return _recorded().get(operation_id, {}).get("request")


def answer_example(operation_id: str, status: str) -> Any:
    """The body of an answer of the operation with this status; None if none was recorded."""
    return _recorded().get(operation_id, {}).get("answers", {}).get(status)


def problem_examples(operation_id: str, status: int, details: dict[str, str]) -> dict[str, Any]:
    """The OpenAPI examples of a response whose codes are the keys of `details`: of each code a problem document.

    The operation's own recording comes first, then that of any operation. What was never recorded, such as a 500, is
    made by the function that makes the answers, with the value in `details` as its text ("" for the usual one).
    """
    own, shared = (_recorded().get(name, {}).get("problems", {}) for name in (operation_id, ANY_OPERATION))
    return {
        code: {"value": own.get(code) or shared.get(code) or problems.problem(status, code, detail)}
        for code, detail in details.items()
    }
