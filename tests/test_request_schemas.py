"""What the OpenAPI document allows of a request is accepted, and what it forbids is refused, field by field.

Clients are generated from the document: one rule that it tells otherwise locks honest people out of every such client.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from django.test import override_settings, tag
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft4Validator, FormatChecker
from schemathesis import GenerationMode

from apps.authentication import services as authentication
from apps.payments.tests.factories import make_completed_transaction
from apps.users.tests.factories import make_staff
from tests.support.cases import ApiTestCase
from tests.support.openapi import GeneratedRequestsTestCase
from tests.support.openapi_document import as_json_schema
from tests.support.stripe import StripeTestCase

EXAMPLES: Final = 12
# What no schema can say: rules over two fields, the clock, the rows, the password's strength, the bytes of a file.
BEYOND_SCHEMAS: Final = {
    "file_too_large",
    "image_too_large",
    "in_future",
    "invalid_image",
    "not_accepted",
    "not_together",
    "out_of_range",
    "password_entirely_numeric",
    "password_incorrect",
    "password_mismatch",
    "password_too_common",
    "password_too_short",
    "password_too_similar",
    "period_reversed",
    "period_too_long",
    "token_invalid",
    "too_early",
    "too_large",
    "unique",
}
JSON: Final = "application/json"


CANDIDATES: Final[tuple[Any, ...]] = (
    "",
    " ",
    "nonsense",
    "bell\x07",
    "12",
    "2026-13-01",
    "x" * 10_000,
    0,
    -1,
    11,
    1.5,
    2**63,
    True,
    None,
    [],
    {},
    ["nonsense"],
    {"nonsense": 1},
)


@override_settings(RATE_LIMITS_ENABLED=False)
@tag("slow")
class AllowedTests(GeneratedRequestsTestCase):
    def test_what_the_document_allows_is_accepted(self):
        accepted = set()
        for operation in self.operations():
            if operation.body or operation.query:
                with self.subTest(operation.label):
                    accepted |= self.statuses(operation)
        self.assertLessEqual({200, 202}, accepted)

    def statuses(self, operation: Any) -> set[int]:
        """What the operation answers to requests that its schema allows; none is refused for what a schema says."""
        statuses = set()

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
        def send(case: Any) -> None:
            if case.media_type not in (None, JSON):
                return  # a form has no null and no number
            token = authentication.open_session(user=self.staff).access
            answer = case.call(headers={"Authorization": f"Bearer {token}"})
            statuses.add(answer.status_code)
            if answer.status_code == 400 and answer.json()["code"] == "validation_error":
                errors = answer.json()["errors"]
                if case.path.endswith("refresh/"):
                    errors.pop("refresh", None)  # left out it is read from the cookie, which was not sent
                errors.pop("profile_picture", None)  # in JSON: an address that is not its own
                for field, problems in errors.items():
                    codes = {problem["code"] for problem in problems}
                    self.assertLessEqual(codes, BEYOND_SCHEMAS, f"{field} of {case.body!r}, {case.query!r}")

        send()
        return statuses


@tag("slow", "any-database")
@override_settings(RATE_LIMITS_ENABLED=False)
class ForbiddenTests(StripeTestCase, ApiTestCase):
    def setUp(self):
        super().setUp()
        staff = make_staff()
        paid = make_completed_transaction(user=staff)
        self.names = {"code": paid.vouchers[0].shown_code, "transaction_id": str(paid.pk)}
        self.api = self.signed_in(staff)
        self.document = SchemaGenerator().get_schema(request=None, public=True)

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for path, item in self.document["paths"].items():
            for method, operation in item.items():
                yield method.upper(), path.format(**self.names), operation

    def forbidden(self, schema: dict[str, Any]) -> list[Any]:
        """Values that the schema forbids, but for those that we take all the same."""
        validator = Draft4Validator(schema, format_checker=FormatChecker())
        values = [*CANDIDATES, "x" * (schema.get("maxLength", 0) + 1), schema.get("maximum", 0) + 1]
        return [value for value in values if not validator.is_valid(value) and not tolerated(schema, value)]

    def assertNames(self, response: Any, field: str) -> None:
        self.assertIn(field, self.assertProblem(response, 400, "validation_error")["errors"])

    def test_what_the_document_forbids_of_a_body_is_refused(self):
        tried = 0
        for method, address, operation in self.operations():
            content = operation.get("requestBody", {}).get("content", {})
            if JSON not in content:
                continue
            schema = as_json_schema(content[JSON]["schema"], self.document)
            bodies: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in schema.get("required", ())]
            if schema.get("additionalProperties") is False:
                bodies.append(("unexpected", {"unexpected": 1}))
            for name, member in schema["properties"].items():
                bodies += [(name, {name: value}) for value in self.forbidden(member)]
            for name, body in bodies:
                with self.subTest(f"{method} {address} {str(body)[:60]}"):
                    tried += 1
                    self.assertNames(self.api.generic(method, address, json.dumps(body), JSON), name)
        self.assertGreater(tried, 300)

    def test_what_the_document_forbids_of_a_query_is_refused(self):
        tried = 0
        for _, address, operation in self.operations():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] != "query" or parameter["name"] in ("page", "page_size", "token"):
                    continue
                for value in self.forbidden(as_json_schema(parameter["schema"], self.document)):
                    if isinstance(value, str) and value.strip():
                        with self.subTest(f"{address}?{parameter['name']}={value[:60]}"):
                            tried += 1
                            response = self.api.get(address, {parameter["name"]: value})
                            self.assertNames(response, parameter["name"])
        self.assertGreater(tried, 30)


def tolerated(schema: dict[str, Any], value: Any) -> bool:
    """Whether we take a value that the schema forbids: clients write numbers, yes and no, and nothing in many ways."""
    kind = schema.get("type", ())
    if isinstance(value, str) and not value.strip():
        nothing = "null" in kind
        return nothing and ("pattern" in schema or schema.get("format") in ("date", "uri"))
    if "string" in kind:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if "integer" in kind:
        return value == "12"
    return "boolean" in kind and value in (0, 1)
