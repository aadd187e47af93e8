"""What a scrape reads: of tables that grow, what waits, and nothing of what was dealt with."""

from datetime import timedelta
from unittest import skipUnless

from django.db import connection
from django.test import override_settings, tag
from django.utils import timezone
from post_office.models import STATUS, Email

from apps.core.metrics import readers
from apps.payments.models import StripeEvent
from tests.support.cases import Client
from tests.support.metrics import TOKEN, WITH_TOKEN
from tests.support.plans import PlanTestCase, rows_read

DEALT_WITH, WAITING = 8000, 5
MOST = 20  # rows of one table that a step may look at: what waits, and a little
GROWING = ("post_office_email", "payments_stripeevent")


@skipUnless(connection.vendor == "postgresql", "PostgreSQL says how many rows it read")
@override_settings(METRICS_TOKEN=TOKEN)
@tag("server")
class ScrapeTests(PlanTestCase):
    def test_a_scrape_reads_what_waits_and_not_the_table(self) -> None:
        old = timezone.now() - timedelta(days=3)
        for number, status, processed in ((DEALT_WITH, STATUS.sent, old), (WAITING, STATUS.queued, None)):
            Email.objects.bulk_create(
                Email(from_email="a@example.com", to=["b@example.com"], status=status, message="x" * 200)
                for _ in range(number)
            )
            StripeEvent.objects.bulk_create(
                StripeEvent(
                    stripe_id=f"evt_{status}_{each}",
                    type="payment_intent.succeeded",
                    object_id=f"pi_{each}",
                    received_at=old,
                    processed_at=processed,
                )
                for each in range(number)
            )
        self.tidy(*GROWING)
        readers.forget()
        self.addCleanup(readers.forget)
        statements = self.statements_of(lambda: Client().get("/metrics", headers=WITH_TOKEN))
        about = [one for one in statements if any(f'FROM "{table}"' in one for table in GROWING)]
        self.assertGreater(len(about), 3)
        for statement in about:
            for table, number in rows_read(statement):
                if table in GROWING:
                    self.assertLessEqual(number, MOST, statement)
