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
from apps.core.api import problems
from apps.core.api.content_negotiation import IgnoreClientContentNegotiation
from apps.core.api.fields import KnownFieldsSerializer
from apps.core.errors import DomainError

View = TypeVar("View", bound=Callable[..., Any])

NOT_BLANK: Final = r"\S"

PROBLEM = {
    "type": "object",
    "description": "RFC 9457",
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
        **settings.PROBLEM_EXTENSION_MEMBERS,
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

    def mark(method: View) -> View:
        marked = extend_schema(
            summary=summary, request=request, responses=dict(answers), operation_id=operation_id, **options
        )(method)
        marked.named_errors = tuple(errors)  # type: ignore[attr-defined]
        return marked

    return mark


class ProblemSchema(AutoSchema):
    """Adds to each operation the problem documents that follow from its method, path, body and named errors."""

    def get_operation(self, *arguments: Any, **options: Any) -> Any:
        operation = super().get_operation(*arguments, **options)
        if operation is None:
            return None
        if getattr(self.view, "deprecated", False):
            operation["operationId"] += "_deprecated"
        component = ResolvedComponent(
            name="Problem", type=ResolvedComponent.SCHEMA, schema=PROBLEM, object="Problem"
        )
        self.registry.register_on_missing(component)
        for status, answer in operation["responses"].items():
            answer["description"] = answer["description"] or HTTPStatus(int(status)).phrase
        for status, codes in sorted(self._codes().items()):
            code = {
                "type": "object",
                "properties": {"code": {"type": "string", "enum": codes}},
                "required": ["code"],
            }
            operation["responses"][str(status)] = {
                "description": ", ".join(f"`{code}`" for code in codes),
                "content": {problems.MEDIA_TYPE: {"schema": {"allOf": [component.ref, code]}}},
            }
        return operation

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

    def _codes(self) -> dict[int, list[str]]:
        codes_by_status: dict[int, list[str]] = {}

        def add(status: int, code: str = "") -> None:
            codes = codes_by_status.setdefault(status, [])
            code = code or problems.CODES[status][0]
            if code not in codes:
                codes.append(code)

        method = getattr(self.view, self.method.lower(), None)
        public = any(isinstance(permission, AllowAny) for permission in self.view.get_permissions())
        if not public:
            add(401)
            add(401, "token_invalid")
        add(400)
        if self.method in ("POST", "PUT", "PATCH", "DELETE"):
            add(400, "parse_error")
            add(400, "validation_error")
            add(411)
            add(413)
            add(415, "unsupported_media_type")
            if not public:
                add(403, "csrf_failed")
        elif self._get_parameters():
            add(400, "validation_error")
        if getattr(self.view, "pagination_class", None) or "{" in self.path:
            add(404)
        add(405)
        if not issubclass(self.view.content_negotiation_class, IgnoreClientContentNegotiation):
            add(406, "not_acceptable")
        if self.view.get_throttles():
            add(429)
        add(500)
        add(503)
        for error in getattr(method, "named_errors", ()):
            add(problems.status_of(error()), error.code)
        return codes_by_status
