"""The OpenAPI document: what clients are generated from."""

from typing import Any, Final

from drf_spectacular.generators import SchemaGenerator

from apps.core import problems
from apps.core.filters import LARGEST_ID
from tests.support.cases import ApiTestCase

TOKEN_OR_COOKIE: Final[list[dict[str, list[str]]]] = [{"bearerAuth": []}, {"cookieAuth": []}]


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

    def parameter(self, operation: str, name: str) -> dict[str, Any]:
        (found,) = (each for each in self.operations[operation]["parameters"] if each["name"] == name)
        return dict(found["schema"])

    def test_a_token_or_a_cookie_is_enough(self):
        kinds = [operation.get("security") for operation in self.operations.values()]
        self.assertEqual([kind for kind in kinds if kind not in ([{}], TOKEN_OR_COOKIE)], [])
        self.assertGreater(kinds.count(TOKEN_OR_COOKIE), 25)

    def test_every_problem_has_its_members_and_its_codes(self):
        members = self.document["components"]["schemas"]["Problem"]["properties"]
        self.assertLessEqual({"message", "errors", "reason", "stripe_status", "checks"}, members.keys())
        for name, operation in self.operations.items():
            for status, answer in operation["responses"].items():
                with self.subTest(name, status=status):
                    self.assertTrue(answer["description"])
                    if problems.MEDIA_TYPE in answer.get("content", {}):
                        reference, code = answer["content"][problems.MEDIA_TYPE]["schema"]["allOf"]
                        self.assertEqual(reference, {"$ref": "#/components/schemas/Problem"})
                        self.assertTrue(code["properties"]["code"]["enum"])
        redeem = self.operations["POST /api/vouchers/redeem/"]["responses"]["409"]
        codes = redeem["content"][problems.MEDIA_TYPE]["schema"]["allOf"][1]["properties"]["code"]["enum"]
        self.assertLessEqual({"voucher_expired", "voucher_used_up", "voucher_inactive"}, set(codes))

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
        ):
            self.assertNotIn(docstring, text)
        for name, operation in self.operations.items():
            with self.subTest(name):
                self.assertTrue(operation["summary"])
                self.assertNotIn("description", operation)
