"""Every operation of the OpenAPI document, called with whatever its schema allows and more: never a 5xx, and every
answer is one that the document describes.
"""

from typing import Any

from django.test import tag
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from apps.authentication import services as authentication
from apps.vouchers.models import Voucher
from tests.support.openapi import GeneratedRequestsTestCase

EXAMPLES = 15


@tag("slow")
class ContractTests(GeneratedRequestsTestCase):
    def setUp(self):
        super().setUp()
        self.token = f"Bearer {authentication.open_session(user=self.staff).access}"

    def test_no_operation_fails_whatever_it_is_sent(self):
        issued = Voucher.objects.count()
        operations = self.operations()
        self.assertGreater(len(operations), 30)
        statuses: set[int] = set()
        for operation in operations:
            if operation.path.endswith(("logout/", "change-password/")):
                continue  # they would end the session that the others need; they have tests of their own

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                derandomize=True,
                database=None,
                phases=(Phase.explicit, Phase.generate),
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy())
            def check(case: Any) -> None:
                answer = case.call(headers={"Authorization": self.token})
                statuses.add(answer.status_code)
                self.assertLess(answer.status_code, 500, answer.content)
                # The code of a problem is one of those that its schema lists for the status.
                case.validate_response(answer, checks=[status_code_conformance, response_schema_conformance])
                if answer.status_code >= 400:
                    self.assertEqual(answer.headers["content-type"], ["application/problem+json"])

            with self.subTest(operation.label):
                check()
        self.assertLessEqual({200, 400, 404}, statuses)
        self.assertEqual(Voucher.objects.count(), issued)
