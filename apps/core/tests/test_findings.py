"""Mail to ADMINS about what scheduled checks found."""

import logging
from unittest.mock import patch

from django.test import override_settings
from django.utils.log import AdminEmailHandler
from post_office.models import Email

from apps.core import findings
from apps.core.models import ReportedFindings
from tests.support.cases import ApiTestCase

ADMINS = [("Ama Mensah", "ama@example.com"), ("", "ops@example.com")]


@override_settings(ADMINS=ADMINS, API_URL="https://api.example.com")
class FindingsTests(ApiTestCase):
    def mailed(self, *keys, check="Audit", looked_everywhere=True, **options):
        """The subjects of the mails to the first of ADMINS that a report of these findings makes."""
        seen = set(Email.objects.values_list("pk", flat=True))
        report = {key: f"{key}: 3 found" for key in keys}
        findings.report(check, report, looked_everywhere=looked_everywhere)
        mails = Email.objects.exclude(pk__in=seen).order_by("pk")
        self.mails = [mail for mail in mails if mail.to == ["ama@example.com"]]
        self.assertEqual(len(mails), 2 * len(self.mails))
        return [mail.subject for mail in self.mails]

    def test_a_finding_is_mailed_once_to_each_and_again_when_it_comes_back(self):
        self.assertEqual(self.mailed(), [])
        self.assertEqual(self.mailed("uses", "money"), ["Audit: 2 new findings"])
        self.assertIn("* uses: 3 found", self.mails[0].message)
        self.assertIn("https://api.example.com/admin/core/jobresult/", self.mails[0].message)
        self.assertEqual(self.mailed("uses", "money"), [])
        self.assertEqual(self.mailed("uses"), [])
        self.assertEqual(self.mailed("uses", "money"), ["Audit: 1 new finding"])
        self.assertIn("1 is still open", self.mails[0].message)
        self.assertNotIn("* uses", self.mails[0].message)

    def test_it_says_once_that_all_is_well_again(self):
        self.mailed("uses", "money")
        self.assertEqual(self.mailed(), ["Audit: all is well again"])
        self.assertEqual(self.mailed(), [])

    def test_a_check_of_a_part_says_nothing_of_what_it_did_not_see(self):
        self.mailed("old")
        self.assertEqual(self.mailed(looked_everywhere=False), [])
        self.assertEqual(self.mailed("new", looked_everywhere=False), ["Audit: 1 new finding"])
        self.assertEqual(self.mailed("new", "old"), [])
        self.assertEqual(self.mailed(), ["Audit: all is well again"])

    def test_checks_know_nothing_of_each_other(self):
        self.mailed("uses")
        self.assertEqual(self.mailed("uses", check="Reconciliation"), ["Reconciliation: 1 new finding"])
        self.assertEqual(self.mailed(), ["Audit: all is well again"])

    def test_very_many_findings_make_one_short_mail_and_no_second_one(self):
        keys = [f"difference {number:05d}" for number in range(5000)]
        self.assertEqual(self.mailed(*keys), [f"Audit: {findings.MOST_KEPT + 1} new findings"])
        self.assertIn(f"* and {findings.MOST_KEPT + 1 - findings.MOST_SHOWN} more", self.mails[0].message)
        self.assertEqual(self.mails[0].message.count("\n* "), findings.MOST_SHOWN + 1)
        self.assertEqual(self.mailed(*keys), [])
        self.assertEqual(len(ReportedFindings.objects.get().keys), findings.MOST_KEPT + 1)

    def test_without_administrators_nothing_counts_as_reported(self):
        with override_settings(ADMINS=[]):
            findings.report("Audit", {"uses": "uses"})
        self.assertFalse(Email.objects.exists())
        self.assertEqual(self.mailed("uses"), ["Audit: 1 new finding"])

    def test_a_mail_that_can_not_be_queued_is_tried_by_the_next_run(self):
        with (
            patch("apps.core.mail.enqueue", side_effect=RuntimeError),
            self.assertRaises(RuntimeError),
        ):
            findings.report("Audit", {"uses": "uses"})
        self.assertEqual(self.mailed("uses"), ["Audit: 1 new finding"])

    def test_no_log_is_mailed_to_them_as_it_may_hold_what_mail_must_not(self):
        loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
        handlers = [handler for logger in loggers for handler in logger.handlers]
        self.assertEqual([one for one in handlers if isinstance(one, AdminEmailHandler)], [])
