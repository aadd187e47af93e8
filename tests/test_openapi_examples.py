"""The examples of the OpenAPI document: each fits its schema, and is what the application answers.

They are recorded from a journey through all operations (tests/support/api_journey.py). After a change of what the API
answers: `RECORD_EXAMPLES=1 .venv/bin/python manage.py test tests.test_openapi_examples`.
"""

import os
from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft4Validator, FormatChecker

from apps.core.api import openapi_examples, problems
from tests.support.api_journey import Journey
from tests.support.cases import ApiTestCase
from tests.support.openapi_document import as_json_schema, resolved_response
from tests.support.recording import Recorder, shape
from tests.support.stripe import StripeTestCase


def document() -> dict[str, Any]:
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return schema


class ExampleTests(ApiTestCase):
    document: dict[str, Any]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.document = document()

    def bodies(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Operation, media type and description of each body of a request or answer."""
        for item in self.document["paths"].values():
            for operation in item.values():
                responses = [
                    resolved_response(each, self.document) for each in operation["responses"].values()
                ]
                for part in (operation.get("requestBody", {}), *responses):
                    for kind, body in part.get("content", {}).items():
                        yield operation["operationId"], kind, body

    def test_every_request_and_answer_has_one(self):
        for name, kind, body in self.bodies():
            with self.subTest(name, kind=kind):
                if body["schema"].get("format") == "binary":
                    continue  # a file
                self.assertTrue("example" in body or body.get("examples"))

    def test_each_fits_its_schema(self):
        number = 0
        for name, kind, body in self.bodies():
            schema = as_json_schema(body["schema"], self.document)
            validator = Draft4Validator(schema, format_checker=FormatChecker())
            examples = [each["value"] for each in body.get("examples", {}).values()]
            if "example" in body:
                examples.append(body["example"])
            for example in examples:
                number += 1
                with self.subTest(name, kind=kind):
                    errors = [
                        f"{error.json_path}: {error.message}" for error in validator.iter_errors(example)
                    ]
                    self.assertEqual(errors, [])
        self.assertGreater(number, 300)

    def test_each_code_of_a_problem_has_one_that_says_what_it_adds(self):
        for name, kind, body in self.bodies():
            if kind != problems.MEDIA_TYPE:
                continue
            codes = body["schema"]["allOf"][1]["properties"]["code"]["enum"]
            with self.subTest(name, codes=codes):
                self.assertEqual(list(body["examples"]), codes)
                for code, example in body["examples"].items():
                    self.assertEqual(example["value"]["code"], code)
                    for member in MEMBERS_OF.get(code, ()):
                        self.assertTrue(example["value"][member])


# What problem documents have besides, by code.
MEMBERS_OF: Final = {
    "validation_error": ("errors",),
    "voucher_inactive": ("reason",),
    "payment_not_completed": ("stripe_status",),
    "not_ready": ("checks",),
}


class RecordingTests(StripeTestCase, ApiTestCase):
    maxDiff = None

    def test_they_are_what_the_application_answers(self):
        recorder = Recorder(document())
        # At the time of the database, which dates a use: by a clock of another day nothing was redeemed in the period.
        Journey(recorder, self.stripe).go()
        if os.environ.get("RECORD_EXAMPLES"):
            recorder.write(settings.API_DESCRIPTION["examples"])
            openapi_examples._recorded.cache_clear()
        recorded = openapi_examples._recorded()
        for name in sorted({*recorder.notes, *recorded}):
            with self.subTest(name):
                self.assertEqual(shape(recorded.get(name)), shape(recorder.notes.get(name)))
