"""Requests that are generated from the OpenAPI document, sent to the application itself."""

from typing import Any

import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from apps.payments.tests.factories import make_completed_transaction
from apps.users.tests.factories import make_staff
from voucher_project.wsgi import application

from .cases import ApiTestCase
from .stripe import StripeTestCase


class GeneratedRequestsTestCase(StripeTestCase, ApiTestCase):
    """Staff with two paid vouchers, and every operation of the document."""

    def setUp(self) -> None:
        super().setUp()
        for signal in (request_started, request_finished):  # as Django's own test client does
            signal.disconnect(close_old_connections)
            self.addCleanup(signal.connect, close_old_connections)
        self.staff = make_staff()
        make_completed_transaction(user=self.staff, quantity=2)

    def operations(self) -> list[Any]:
        """The operations of the served document; a broken one raises here."""
        loaded = schemathesis.openapi.from_wsgi("/api/schema/", application)
        return [result.ok() for result in loaded.get_all_operations()]  # type: ignore[union-attr]
