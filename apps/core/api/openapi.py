"""The OpenAPI document: every operation says which problem documents it may answer."""

import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeVar

from django.conf import settings
from django.core.validators import RegexValidator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny

from apps.core import idempotency
from apps.core.api import openapi_examples, problems
from apps.core.api.content_negotiation import IgnoreClientContentNegotiation
from apps.core.api.fields import IgnoredField, KnownFieldsSerializer
from apps.core.api.pagination import StandardPagination
from apps.core.errors import DomainError

View = TypeVar("View", bound=Callable[..., Any])

NOT_BLANK: Final = r"\S"
VALIDATION_ERROR: Final = "validation_error"
PAGING: Final = (StandardPagination.page_query_param, StandardPagination.page_size_query_param)

PROBLEM = {
    "type": "object",
    "description": "A problem document (RFC 9457): all errors have this form.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {
            "type": "string",
            "description": "For people; with code validation_error the first problem.",
        },
        "code": {"type": "string", "description": "For programs; stable."},
        "message": {"type": "string", "description": "The same as detail."},
        **settings.API_DESCRIPTION["problem_members"],
        "checks": {
            "type": "object",
            "description": "With code not_ready: the state of each dependency.",
            "additionalProperties": {"type": "string"},
        },
        "errors": {
            "type": "object",
            "description": "With code validation_error only: what is wrong, by field.",
            "additionalProperties": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"code": {"type": "string"}, "detail": {"type": "string"}},
                    "required": ["code", "detail"],
                },
            },
        },
    },
    "required": ["type", "title", "status", "detail", "code", "message"],
}

RETRY_AFTER: Final = {
    "Retry-After": {"description": "Seconds until it is worth trying again.", "schema": {"type": "integer"}}
}
REPLAYED: Final = {
    "Idempotent-Replayed": {
        "description": "`true` if this was answered before, under the same Idempotency-Key.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}

IDEMPOTENCY_KEY = OpenApiParameter(
    idempotency.HEADER,
    {"type": "string", "maxLength": 255},
    OpenApiParameter.HEADER,
    description="Any text of your own. The same request under the same key is done once, and answered the same.",
)


def documented(
    summary: str,
    *,
    answers: Mapping[Any, Any],
    errors: Iterable[type[DomainError]] = (),
    request: Any = None,
    operation_id: str,
    idempotent: bool = False,
    **options: Any,
) -> Callable[[View], View]:
    """Describe one method of a view: its body, its answers by status, and the named errors that it may raise.

    The first sentence of `summary` becomes the operation's summary, what follows its description.
    An answer that is not JSON stands under (status, media type).
    `idempotent`: it takes the header Idempotency-Key.
    """
    if idempotent:
        options["parameters"] = [*options.get("parameters", ()), IDEMPOTENCY_KEY]
        errors = (
            *errors,
            idempotency.IdempotencyKeyInvalid,
            idempotency.IdempotencyKeyReused,
            idempotency.RequestInProgress,
        )

    first, _, rest = summary.partition(". ")
    if rest:
        options["description"] = rest

    def mark(method: View) -> View:
        marked = extend_schema(
            summary=f"{first.removesuffix('.')}.",
            request=request,
            responses=dict(answers),
            operation_id=operation_id,
            **options,
        )(method)
        marked.named_errors = tuple(errors)  # type: ignore[attr-defined]
        marked.idempotent = idempotent  # type: ignore[attr-defined]
        return marked

    return mark


class ProblemSchema(AutoSchema):
    """Adds to each operation its examples, and the problem documents that follow from its method, path, body and
    named errors."""

    def get_tags(self) -> list[str]:
        """The first part of the path; what has no tag of its own has the last one."""
        names = [tag["name"] for tag in settings.SPECTACULAR_SETTINGS["TAGS"]]
        return [tag for tag in super().get_tags() if tag in names] or names[-1:]

    def get_operation(self, *arguments: Any, **options: Any) -> Any:
        operation = super().get_operation(*arguments, **options)
        if operation is None:
            return None
        if getattr(self.view, "deprecated", False):
            operation["operationId"] += "_deprecated"
        for parameter in operation.get("parameters", ()):
            words = settings.API_DESCRIPTION["parameters"].get(parameter["name"], {})
            parameter |= {name: text for name, text in words.items() if name not in parameter}
            parameter["description"] = parameter.get("description", "").strip()
        self._add_examples(operation)
        idempotent = getattr(self._view_method(), "idempotent", False)
        for status, answer in operation["responses"].items():
            answer["description"] = answer["description"] or HTTPStatus(int(status)).phrase
            if idempotent:
                answer["headers"] = REPLAYED
        for status, details in sorted(self._details().items()):
            operation["responses"][str(status)] = self._problem_response(
                operation["operationId"], status, details
            )
        return operation

    def _view_method(self) -> Any:
        return getattr(self.view, self.method.lower(), None)

    def _add_examples(self, operation: dict[str, Any]) -> None:
        """The bodies that were recorded of this operation; files have none."""
        name = operation["operationId"]
        bodies = [(operation.get("requestBody", {}), openapi_examples.request_example(name))]
        for status, answer in operation["responses"].items():
            bodies.append((answer, openapi_examples.answer_example(name, status)))
        for body, example in bodies:
            for media_type in body.get("content", {}).values():
                if example is not None:
                    media_type["example"] = example

    def _problem_response(self, operation_id: str, status: int, details: dict[str, str]) -> dict[str, Any]:
        """The response with one of these codes. What many operations answer alike is a component."""
        schema = ResolvedComponent(
            name="Problem", type=ResolvedComponent.SCHEMA, schema=PROBLEM, object="Problem"
        )
        self.registry.register_on_missing(schema)
        code = {
            "type": "object",
            "properties": {"code": {"type": "string", "enum": list(details)}},
            "required": ["code"],
        }
        examples = openapi_examples.problem_examples(operation_id, status, details)
        response: dict[str, Any] = {
            "description": ", ".join(f"`{code}`" for code in details),
            "content": {problems.MEDIA_TYPE: {"schema": {"allOf": [schema.ref, code]}, "examples": examples}},
        }
        if status in (429, 503) or idempotency.RequestInProgress.code in details:
            response["headers"] = RETRY_AFTER
        named = {error.code for error in getattr(self._view_method(), "named_errors", ())}
        if VALIDATION_ERROR in details or not named.isdisjoint(details):
            return response
        name = "Or".join(code.title().replace("_", "") for code in details)
        shared = ResolvedComponent(name=name, type=ResolvedComponent.RESPONSE, schema=response, object=name)
        self.registry.register_on_missing(shared)
        return dict(shared.ref)

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Any:
        """Say so where members that are not listed are refused."""
        schema = super()._map_basic_serializer(serializer, direction)
        kind = serializer if isinstance(serializer, type) else type(serializer)
        if direction == "request" and issubclass(kind, KnownFieldsSerializer):
            schema["additionalProperties"] = False
        return schema

    def _map_serializer_field(self, field: Any, direction: Any, *arguments: Any, **options: Any) -> Any:
        """Say so where text needs a character that is not a space."""
        schema = super()._map_serializer_field(field, direction, *arguments, **options)
        needs_text = isinstance(field, serializers.CharField) and not field.allow_blank
        if needs_text and field.trim_whitespace and direction == "request" and "format" not in schema:
            schema["pattern"] = NOT_BLANK
        if isinstance(field, IgnoredField):  # any value, null too: that is a schema without a type
            schema = {"description": schema["description"], "deprecated": True}
        return schema

    def _insert_field_validators(self, field: Any, schema: Any) -> None:
        """The library's, but a field's own pattern wins over NOT_BLANK, and text that may be empty has one schema.

        The library would make it `oneOf` text or nothing, which refuses what is both, and null.
        """
        if schema.get("pattern") == NOT_BLANK and any(
            isinstance(validator, RegexValidator) for validator in field.validators
        ):
            del schema["pattern"]
        super()._insert_field_validators(field, schema)
        match schema.get("oneOf"):
            case [{"type": "string", "pattern": pattern, **rest}, {"type": "string", "maxLength": 0}]:
                del schema["oneOf"]
                pattern = pattern if re.search(pattern, "") else f"^$|{pattern}"
                schema.update({"type": "string", "pattern": pattern, **rest})

    def _get_request_body(self, direction: str = "request") -> Any:
        """A DELETE may have a body too, which the library leaves out."""
        if self.method != "DELETE" or self.get_request_serializer() is None:
            return super()._get_request_body(direction)
        self.method = "POST"
        try:
            return super()._get_request_body(direction)
        finally:
            self.method = "DELETE"

    def is_deprecated(self) -> bool:
        """An alias that is kept for an older client is mounted with `deprecated=True` among its URL's options."""
        return super().is_deprecated() or bool(getattr(self.view, "deprecated", False))

    def _details(self) -> dict[int, dict[str, str]]:
        """The codes that the operation may answer, by status, each with its text ("" for the usual one)."""
        details_by_status: dict[int, dict[str, str]] = {}

        def add(status: int, code: str = "", detail: str = "") -> None:
            details_by_status.setdefault(status, {}).setdefault(code or problems.CODES[status][0], detail)

        public = any(isinstance(permission, AllowAny) for permission in self.view.get_permissions())
        if not public:
            add(401)
            add(401, "token_invalid")
        add(400)
        if self.method in ("POST", "PUT", "PATCH", "DELETE"):
            add(400, "parse_error")
            if self.get_request_serializer():
                add(400, VALIDATION_ERROR)
            add(411)
            add(413)
            add(415, "unsupported_media_type")
            if not public:
                add(403, "csrf_failed")
        elif any(each["in"] == "query" and each["name"] not in PAGING for each in self._get_parameters()):
            add(400, VALIDATION_ERROR)
        if getattr(self.view, "pagination_class", None) or "{" in self.path:
            add(404)
        add(405)
        if not issubclass(self.view.content_negotiation_class, IgnoreClientContentNegotiation):
            add(406, "not_acceptable")
        if self.view.get_throttles():
            add(429)
        add(500)
        add(503)
        for error in getattr(self._view_method(), "named_errors", ()):
            add(problems.status_of(error()), error.code, error.detail)
        return details_by_status
