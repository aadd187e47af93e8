"""Requests and answers of a journey, by operation of the OpenAPI document: its examples are these, written to files."""

import json
import re
from pathlib import Path
from typing import Any, Final

from apps.core.api.openapi_examples import ANY_OPERATION
from apps.core.api.problems import MEDIA_TYPE

JSON: Final = "application/json"
# Secrets are cut: the beginning shows what they look like.
SECRETS: Final = ("access", "refresh", "device_token", "token", "client_secret", "uid")
CUT: Final = 24
WIDTH: Final = 120
HOSTS: Final = {"http://testserver": "https://vouchers.example.org"}


class Recorder:
    """Sends requests by clients of tests, and notes them with their answers."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.responses: dict[str, dict[str, Any]] = {}
        self.files: dict[str, str] = {ANY_OPERATION: "problems"}
        self.notes: dict[str, dict[str, Any]] = {}
        self._routes: list[tuple[str, re.Pattern[str], str]] = []
        for path, item in document["paths"].items():
            pattern = re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))
            for method, operation in item.items():
                name = operation["operationId"]
                self.responses[name] = operation["responses"]
                self.files[name] = operation["tags"][0]
                self._routes.append((method.upper(), pattern, name))

    def send(
        self,
        client: Any,
        method: str,
        path: str,
        body: Any = None,
        *,
        text: str = "",
        kind: str = JSON,
        **headers: str,
    ) -> Any:
        """The answer's JSON, or None where it has none. The first of each kind is noted.

        `body` is sent as JSON; `text` is sent as it is, under the media type `kind`.
        """
        name = self._operation(method, path)
        sent = text if body is None else json.dumps(body)
        response = client.generic(method, path, sent, content_type=kind, headers=headers)
        answered = response.headers.get("Content-Type", "").partition(";")[0]
        answer = json.loads(response.content) if answered in (JSON, MEDIA_TYPE) else None
        if response.status_code >= 400:
            self._note_problem(name, answer)
            return answer
        if body is not None:
            self._of(name).setdefault("request", self._public(body))
        if answer is not None:
            self._of(name).setdefault("answers", {}).setdefault(
                str(response.status_code), self._public(answer)
            )
        return answer

    def _operation(self, method: str, path: str) -> str:
        """The operation; of a method that the address does not take, one of the others there."""
        there = {
            each: name for each, pattern, name in self._routes if pattern.fullmatch(path.partition("?")[0])
        }
        return there.get(method) or next(iter(there.values()))

    def _of(self, name: str) -> dict[str, Any]:
        return self.notes.setdefault(name, {})

    def _note_problem(self, name: str, answer: Any) -> None:
        """What many operations answer alike is noted for all of them."""
        described = self.responses[name][str(answer["status"])]
        owner = ANY_OPERATION if "$ref" in described or answer["code"] == "parse_error" else name
        self._of(owner).setdefault("problems", {}).setdefault(answer["code"], self._public(answer))

    def _public(self, value: Any, name: str = "") -> Any:
        """The value without secrets and this machine's names."""
        if isinstance(value, dict):
            return {key: self._public(member, key) for key, member in value.items()}
        if isinstance(value, list):
            return [self._public(member) for member in value]
        if isinstance(value, str):
            for here, elsewhere in HOSTS.items():
                value = value.replace(here, elsewhere)
            if name in SECRETS and len(value) > CUT:
                return f"{value[:CUT]}…"
        return value

    def write(self, folder: Path) -> None:
        """Write the notes to the files of the folder, one for each tag."""
        by_file: dict[str, dict[str, Any]] = {}
        for name in sorted(self.notes):
            by_file.setdefault(self.files[name], {})[name] = self.notes[name]
        for file, notes in by_file.items():
            (folder / f"{file}.json").write_text(f"{_printed(notes)}\n")


def _printed(value: Any, indent: str = "") -> str:
    """The value as JSON; what fits into a line stands on one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent + line) <= WIDTH or not isinstance(value, dict | list):
        return line
    inner = f"{indent} "
    if isinstance(value, list):
        parts = [inner + _printed(member, inner) for member in value]
        return "[\n" + ",\n".join(parts) + f"\n{indent}]"
    parts = [f"{inner}{json.dumps(name)}: {_printed(member, inner)}" for name, member in value.items()]
    return "{\n" + ",\n".join(parts) + f"\n{indent}}}"


def shape(value: Any) -> Any:
    """What of a JSON value stays the same from one run to the next: its members, and the kinds of its values."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__
