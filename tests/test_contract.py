"""Every operation of the OpenAPI document, called with whatever its schema allows and more: never a 5xx, and every
answer is one that the document describes.
"""

from typing import Any

import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import response_schema_conformance

from apps.authentication import services as authentication
from apps.payments.tests.factories import make_completed_transaction
from apps.users.tests.factories import make_staff
from apps.vouchers.models import Voucher
from tests.support.cases import ApiTestCase
from tests.support.stripe import StripeTestCase
from voucher_project.wsgi import application

EXAMPLES = 15


class ContractTests(StripeTestCase, ApiTestCase):
    def setUp(self):
        super().setUp()
        for signal in (request_started, request_finished):  # as Django's own test client does
            signal.disconnect(close_old_connections)
            self.addCleanup(signal.connect, close_old_connections)
        staff = make_staff()
        make_completed_transaction(user=staff, quantity=2)
        self.token = f"Bearer {authentication.open_session(user=staff).access}"

    def test_no_operation_fails_whatever_it_is_sent(self):
        issued = Voucher.objects.count()
        operations = [
            found.ok()  # type: ignore[union-attr]  # a broken document raises here
            for found in schemathesis.openapi.from_wsgi("/api/schema/", application).get_all_operations()
        ]
        self.assertGreater(len(operations), 30)
        paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
        statuses: set[int] = set()
        for operation in operations:
            if operation.path.endswith(("logout/", "change-password/")):
                continue  # they would end the session that the others need; they have tests of their own

            responses = paths[operation.path][operation.method]["responses"]

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                derandomize=True,
                database=None,
                phases=(Phase.explicit, Phase.generate),
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(), responses=st.just(responses))
            def check(case: Any, responses: Any) -> None:
                answer = case.call(headers={"Authorization": self.token})
                statuses.add(answer.status_code)
                if answer.status_code >= 400:
                    documented = responses[str(answer.status_code)]["content"]["application/problem+json"]
                    codes = documented["schema"]["allOf"][1]["properties"]["code"]["enum"]
                    self.assertIn(answer.json()["code"], codes)
                self.assertLess(answer.status_code, 500, answer.content)
                case.validate_response(answer, checks=[response_schema_conformance])
                if answer.status_code >= 400:
                    self.assertEqual(answer.headers["content-type"], ["application/problem+json"])

            with self.subTest(operation.label):
                check()
        self.assertLessEqual({200, 400, 404}, statuses)
        self.assertEqual(Voucher.objects.count(), issued)
