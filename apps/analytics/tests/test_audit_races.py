"""The audit while people buy, redeem and ask for refunds: it sees one moment of the books."""

import threading
from contextlib import nullcontext
from unittest.mock import patch

from apps.analytics import audit
from apps.payments.tests.money import PaidTestCase
from apps.vouchers.tests.factories import make_type
from tests.support.cases import RaceTestCase


class AuditDuringBusinessTests(PaidTestCase, RaceTestCase):
    def audits_during_business(self, number, until=None):
        """What each of so many audits finds while a shop is open; after `until` was found there are no more."""
        self.type = make_type(max_uses=1000)
        vouchers = list(self.buy(3).vouchers)
        closed = threading.Event()
        self.turns = 0

        def redeem():
            while not closed.is_set():
                self.redeem(vouchers[self.turns % 2])
                self.turns += 1

        def sell():
            while not closed.is_set():
                self.ask(self.buy(2))

        def look():
            findings: list[set[str]] = []
            try:
                while len(findings) < number and not (until in findings and self.turns > 3):
                    findings.append({each.rule.name for each in audit.audit().broken})
                return findings
            finally:
                closed.set()

        findings, *_ = self.together(look, redeem, sell)
        self.assertGreater(self.turns, 3)
        return findings

    def test_what_happens_meanwhile_is_no_fault(self):
        self.assertEqual(self.audits_during_business(self.rounds), [set()] * self.rounds)

    def test_the_same_business_is_a_fault_to_an_audit_of_no_single_moment(self):
        with patch.object(audit, "snapshot", nullcontext):
            findings = self.audits_during_business(60, until={"figures_shown"})
        self.assertIn({"figures_shown"}, findings)

    def test_the_connection_that_it_used_can_write_afterwards(self):
        for _ in range(2):
            self.assertEqual(audit.audit().broken, [])
            self.buy(1)
