"""The OpenAPI document: what clients are generated from."""

import json
from contextlib import nullcontext
from typing import Any, Final
from unittest.mock import patch

from drf_spectacular.generators import SchemaGenerator

from apps.authentication import cookies
from apps.core.api import openapi_document, problems
from apps.core.api.filters import LARGEST_ID
from tests.support.cases import ApiTestCase, Client, RaceTestCase
from tests.support.openapi_document import resolved_response

Security = list[dict[str, list[str]]]
TOKEN_OR_COOKIE: Final[Security] = [{"bearerAuth": []}, {"cookieAuth": []}]
TOKEN_OR_COOKIE_WITH_CSRF: Final[Security] = [{"bearerAuth": []}, {"cookieAuth": [], "csrfToken": []}]
PUBLIC: Final[Security] = [{}]


class DocumentTests(ApiTestCase):
    document: dict[str, Any]
    operations: dict[str, Any]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.document = SchemaGenerator().get_schema(request=None, public=True)
        cls.operations = {
            f"{method.upper()} {path}": operation
            for path, item in cls.document["paths"].items()
            for method, operation in item.items()
        }

    def codes(self, operation: str, status: str) -> set[str]:
        """The codes of the problems that the operation answers with this status."""
        response = self.operations[operation]["responses"][status]
        content = resolved_response(response, self.document).get("content", {})
        if problems.MEDIA_TYPE not in content:
            return set()
        return set(content[problems.MEDIA_TYPE]["schema"]["allOf"][1]["properties"]["code"]["enum"])

    def parameter(self, operation: str, name: str) -> dict[str, Any]:
        (entry,) = (each for each in self.operations[operation]["parameters"] if each["name"] == name)
        return dict(entry["schema"])

    def test_a_token_or_a_cookie_is_enough_and_a_cookie_that_changes_something_has_the_csrf_token(self):
        signed_in = 0
        for name, operation in self.operations.items():
            with self.subTest(name):
                expected = TOKEN_OR_COOKIE if name.startswith("GET") else TOKEN_OR_COOKIE_WITH_CSRF
                if name == "POST /api/auth/change-email-confirm/":  # signed in or not
                    expected = [*expected, {}]
                self.assertIn(operation["security"], (PUBLIC, expected))
                signed_in += operation["security"] == expected
        self.assertGreater(signed_in, 25)
        schemes = self.document["components"]["securitySchemes"]
        self.assertEqual(schemes.keys(), {"bearerAuth", "cookieAuth", "csrfToken"})
        self.assertEqual(schemes["cookieAuth"]["name"], cookies.ACCESS.name)

    def test_every_problem_has_its_members_and_its_codes(self):
        members = self.document["components"]["schemas"]["Problem"]["properties"]
        self.assertLessEqual({"message", "errors", "reason", "stripe_status", "checks"}, members.keys())
        for name, operation in self.operations.items():
            for status, described in operation["responses"].items():
                answer = resolved_response(described, self.document)
                with self.subTest(name, status=status):
                    self.assertTrue(answer["description"])
                    if problems.MEDIA_TYPE in answer.get("content", {}):
                        reference, code = answer["content"][problems.MEDIA_TYPE]["schema"]["allOf"]
                        self.assertEqual(reference, {"$ref": "#/components/schemas/Problem"})
                        self.assertTrue(code["properties"]["code"]["enum"])
        self.assertLessEqual(
            {"voucher_expired", "voucher_used_up", "voucher_inactive"},
            self.codes("POST /api/vouchers/redeem/", "409"),
        )

    def test_what_many_answer_alike_is_described_once(self):
        for status, name in (
            (401, "NotAuthenticatedOrTokenInvalid"),
            (429, "RateLimited"),
            (500, "ServerError"),
        ):
            reference = {"$ref": f"#/components/responses/{name}"}
            self.assertEqual(
                self.operations["GET /api/vouchers/my-vouchers/"]["responses"][str(status)], reference
            )
        limited = self.document["components"]["responses"]["RateLimited"]
        self.assertEqual(limited["headers"].keys(), {"Retry-After"})

    def test_operations_have_a_stable_name_and_one_tag_that_is_explained(self):
        explained = {tag["name"]: tag["description"] for tag in self.document["tags"]}
        self.assertTrue(all(explained.values()))
        names = [operation["operationId"] for operation in self.operations.values()]
        self.assertEqual(len(names), len(set(names)))
        used = set()
        for name, operation in self.operations.items():
            with self.subTest(name):
                self.assertRegex(operation["operationId"], r"^[a-z]+(_[a-z]+)*$")
                (tag,) = operation["tags"]
                used.add(tag)
        self.assertEqual(used, explained.keys())

    def test_older_names_are_deprecated(self):
        deprecated = {name for name, operation in self.operations.items() if operation.get("deprecated")}
        self.assertEqual(
            deprecated,
            {
                "POST /api/auth/refresh/",
                "PATCH /api/users/profile/update/",
                "POST /api/payments/create-intent/",
                "POST /api/payments/confirm/",
            },
        )
        schemas = self.document["components"]["schemas"]
        members = {
            (component, member)
            for component, schema in schemas.items()
            for member, described in schema.get("properties", {}).items()
            if described.get("deprecated")
        }
        self.assertLessEqual(
            {
                ("ConfirmInputRequest", "quantity"),
                ("OlderConfirmOutput", "payment"),
                ("OlderPurchaseInputRequest", "payment_method"),
                ("RedeemInputRequest", "service_data"),
                ("RefundInputRequest", "amount"),
                ("UsageOutput", "service_data"),
            },
            members,
        )

    def test_no_generator_is_misled(self):
        """By forms of which one or another makes something that is refused, or that does not compile."""
        for component, schema in self.document["components"]["schemas"].items():
            for member, described in schema.get("properties", {}).items():
                with self.subTest(component, member=member):
                    self.assertFalse({"readOnly", "writeOnly", "title"} & described.keys())
                    self.assertNotIn("BlankEnum", str(described))
                    if described.get("nullable"):
                        self.assertTrue({"type", "allOf", "oneOf"} & described.keys())
                    if component.endswith("Request"):
                        self.assertNotIn("default", described)
        purchase = self.document["components"]["schemas"]["PurchaseInputRequest"]
        self.assertEqual(purchase["required"], ["voucher_type_id"])
        self.assertEqual(purchase["properties"]["quantity"]["description"], "If left out: `1`.")
        pages = self.document["components"]["schemas"]["PaginatedVoucherOutputList"]
        self.assertEqual(set(pages["required"]), {"count", "next", "previous", "results"})

    def test_aliases_and_twins_answer_the_same_problems(self):
        for one, other in (
            ("PUT /api/users/profile/", "PUT /api/auth/profile/"),
            ("PATCH /api/users/profile/", "PATCH /api/auth/profile/"),
            ("PATCH /api/users/profile/", "PATCH /api/users/profile/update/"),
            ("POST /api/payments/confirm-payment/", "POST /api/payments/confirm/"),
            ("POST /api/payments/create-payment-intent/", "POST /api/payments/create-intent/"),
            ("POST /api/payments/create-payment-intent/", "POST /api/vouchers/purchase/"),
            ("POST /api/auth/token/refresh/", "POST /api/auth/refresh/"),
            ("GET /api/analytics/dashboard/", "GET /api/analytics/user/"),
        ):
            with self.subTest(other):
                statuses = self.operations[one]["responses"].keys()
                self.assertEqual(statuses, self.operations[other]["responses"].keys())
                for status in statuses:
                    self.assertEqual(self.codes(one, status), self.codes(other, status))

    def test_parameters_have_their_formats_and_bounds(self):
        self.assertEqual(
            self.parameter("GET /api/vouchers/my-vouchers/", "voucher_type"),
            {"type": "integer", "format": "int64", "minimum": 1, "maximum": LARGEST_ID},
        )
        for operation in ("GET /api/payments/history/", "GET /api/vouchers/usage-history/"):
            for name in ("from", "to"):
                formats = [kind["format"] for kind in self.parameter(operation, name)["anyOf"]]
                self.assertEqual(formats, ["date", "date-time"])
        self.assertEqual(self.parameter("GET /api/analytics/dashboard/", "from")["format"], "date")

    def test_every_parameter_is_explained_in_words_of_ours(self):
        for name, operation in self.operations.items():
            for parameter in operation.get("parameters", ()):
                with self.subTest(name, parameter=parameter["name"]):
                    self.assertTrue(parameter["description"])
                    self.assertNotIn("result", parameter["description"])  # as in the library's

    def test_what_the_values_of_an_enum_mean_is_said_of_each(self):
        schemas = self.document["components"]["schemas"]
        for name in (
            "VoucherStatus",
            "InactiveReason",
            "TransactionStatus",
            "RefundStatus",
            "VoucherEventKind",
        ):
            for value in set(schemas[name]["enum"]) - {"active"}:  # which says it all
                with self.subTest(name, value=value):
                    self.assertIn(f"`{value}`", schemas[name]["description"])

    def test_names_have_no_pattern_that_refuses_them(self):
        for component in ("RegisterInputRequest", "ProfileInputRequest", "ProfileJsonInputRequest"):
            for member in ("first_name", "last_name"):
                pattern = self.document["components"]["schemas"][component]["properties"][member]["pattern"]
                for name in ("Ama Mensah", "Ọláolúwa", "O'Neil-Nkrumah"):
                    self.assertRegex(name, pattern)
                self.assertNotRegex("bell\x07", pattern)

    def test_it_tells_nothing_that_was_written_for_who_works_on_the_code(self):
        text = str(self.document)
        for docstring in (
            "A view that asks nobody",
            "Refuses members that it does not know",
            "Written to a file first",
            "Concrete view for listing a queryset",
            "Abstract base class",
            "api.example.org/accounts",
        ):
            self.assertNotIn(docstring, text)
        for name, operation in self.operations.items():
            with self.subTest(name):
                self.assertRegex(operation["summary"], r"^[A-Z].*\.$")
                self.assertNotIn(". ", operation["summary"])
        redeem = self.operations["POST /api/vouchers/redeem/"]
        self.assertEqual(
            (redeem["summary"], redeem["description"]),
            ("Take one use from a voucher.", "Whoever holds the code may."),
        )


class ServingTests(ApiTestCase):
    def test_it_is_yaml_or_json_as_is_wanted(self):
        for address, accept, kind in (
            ("/api/schema/", "*/*", "application/vnd.oai.openapi; charset=utf-8"),
            ("/api/schema/", "application/json", "application/json"),
            ("/api/schema/", "application/vnd.oai.openapi+json", "application/vnd.oai.openapi+json"),
            ("/api/schema/?format=json", "*/*", "application/json"),
            ("/api/schema/?format=json", "text/html", "application/json"),
            ("/api/schema/?format=yaml", "application/json", "application/vnd.oai.openapi; charset=utf-8"),
        ):
            with self.subTest(address, accept=accept):
                response = self.api.get(address, headers={"Accept": accept})
                self.assertEqual((response.status_code, response["Content-Type"]), (200, kind))
                self.assertIn("Accept", response["Vary"])
                if "json" in kind:
                    self.assertEqual(json.loads(response.content)["info"]["title"], "Voucher App API")
                else:
                    self.assertTrue(response.content.startswith(b"openapi: 3."))
        self.assertProblem(self.api.get("/api/schema/?format=xml"), 404, "not_found")

    def test_who_has_it_is_told_that_it_is_the_same(self):
        tags = set()
        for name in ("json", "yaml"):
            first = self.api.get(f"/api/schema/?format={name}")
            again = self.api.get(f"/api/schema/?format={name}", headers={"If-None-Match": first["ETag"]})
            self.assertEqual((again.status_code, again.content), (304, b""))
            tags.add(first["ETag"])
        self.assertEqual(len(tags), 2)

    def test_it_is_built_once(self):
        self.api.get("/api/schema/")
        with patch.object(openapi_document, "SchemaGenerator") as generator:
            self.assertEqual(self.api.get("/api/schema/").status_code, 200)
        generator.assert_not_called()


class FirstUseRaceTests(RaceTestCase):
    """Many who ask for the document of a process that has not built it yet."""

    rounds = 3

    def first_use(self, at_once: int = 16) -> tuple[set[tuple[int, str]], int]:
        """The different answers to requests at one instant, and how often the document was built for them."""
        openapi_document._document.cache_clear()
        openapi_document._rendered.clear()
        with patch.object(openapi_document, "SchemaGenerator", wraps=SchemaGenerator) as generator:
            responses = self.together(*[lambda: Client().get("/api/schema/")] * at_once)
        return {(each.status_code, each.headers.get("ETag", "")) for each in responses}, generator.call_count

    def test_all_get_the_one_document(self):
        for _ in range(self.rounds):
            answers, built = self.first_use()
            self.assertEqual(([status for status, _ in answers], built), ([200], 1))

    def test_control_without_the_lock(self):
        with patch.object(openapi_document, "_lock", nullcontext()):
            answers, built = self.first_use(at_once=3)  # each of whom builds it, which takes long
        self.assertTrue(built > 1 or len(answers) > 1, "the race was never run")
