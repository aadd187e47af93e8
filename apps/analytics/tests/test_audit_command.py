"""`manage.py audit`: what it writes, and its exit status."""

import json
import os
import subprocess
import sys
from io import StringIO
from unittest.mock import patch

from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone
from post_office.models import Email

from apps.analytics.audit import RULES, NotChecked
from apps.analytics.tasks import audit_books
from apps.core.models import JobResult
from apps.vouchers.models import Voucher
from tests.support.cases import ApiTestCase
from tests.support.runner import home

from .books import BooksTestCase


def run(*options: str) -> tuple[int, str]:
    """The command's exit status, and what it wrote."""
    output = StringIO()
    try:
        call_command("audit", *options, stdout=output, stderr=output)
    except CommandError as error:
        return error.returncode, f"{output.getvalue()}{error}"
    return 0, output.getvalue()


class CommandTests(BooksTestCase, ApiTestCase):
    @classmethod
    def setUpTestData(cls):
        cls.fill_once()

    def spoil(self):
        """More faults than are listed: 25 vouchers of no sale; and one of a value that it was not sold for."""
        voucher = Voucher.objects.get(pk=self.free_voucher.pk)
        for number in range(25):
            voucher.pk, voucher.code, voucher.batch = None, f"{number:016d}", None
            voucher.save()
        Voucher.objects.filter(pk=self.free_voucher.pk).update(face_value=99)

    def test_it_says_that_all_rules_hold(self):
        status, text = run()
        self.assertEqual(status, 0, text)
        self.assertEqual(text.count("  holds   "), len(RULES))
        self.assertIn("All rules hold.", text)

    def test_it_names_what_breaks_a_rule_and_counts_what_it_does_not_name(self):
        self.spoil()
        status, text = run()
        self.assertEqual(status, 1)
        self.assertIn("BROKEN  voucher_origin: A voucher was sold by one paid transaction", text)
        self.assertRegex(text, r"25 found: voucher (\d+, ){19}\d+ and 5 more")
        self.assertIn(f"1 found: voucher {self.free_voucher.pk}\n", text)
        self.assertTrue(text.endswith(f"3 of {len(RULES)} rules do not hold."), text[-100:])

    def test_the_scheduled_audit_stores_what_came_of_it(self):
        self.assertEqual(audit_books(), 0)
        result = JobResult.objects.get(name="Audit")
        self.assertEqual((result.problems, result.details, result.complete), (0, [], True))
        self.assertFalse(JobResult.objects.needing_attention(timezone.now()).exists())
        self.spoil()
        self.assertEqual(audit_books(), 3)
        result.refresh_from_db()
        self.assertEqual(result.problems, 3)
        self.assertIn("voucher_origin: 25", result.details)
        with patch("apps.analytics.tasks.audit.audit", side_effect=NotChecked("The database failed.")):
            audit_books()
        result.refresh_from_db()
        self.assertEqual((result.complete, result.details), (False, ["The database failed."]))
        self.assertTrue(JobResult.objects.needing_attention(timezone.now()).exists())

    @override_settings(ADMINS=[("", "ops@example.com")])
    def test_administrators_are_mailed_what_the_scheduled_audit_finds_once(self):
        def mails():
            audit_books()
            subjects = list(Email.objects.filter(to="ops@example.com").values_list("subject", flat=True))
            Email.objects.filter(to="ops@example.com").delete()
            return subjects

        self.assertEqual(mails(), [])
        self.spoil()
        audit_books()
        message = Email.objects.get(to="ops@example.com").message
        self.assertIn("* voucher_origin: A voucher was sold by one paid transaction", message)
        self.assertEqual((mails(), mails()), (["Audit: 3 new findings"], []))
        with patch("apps.analytics.tasks.audit.audit", side_effect=NotChecked("The database failed.")):
            self.assertEqual((mails(), mails()), (["Audit: 1 new finding"], []))
        self.assertEqual(mails(), [])  # checked again: the rules are broken still
        Voucher.objects.filter(code__startswith="0000").delete()
        Voucher.objects.filter(pk=self.free_voucher.pk).update(face_value=self.free_voucher.face_value)
        self.assertEqual((mails(), mails()), (["Audit: all is well again"], []))
        self.spoil()
        self.assertEqual(mails(), ["Audit: 3 new findings"])

    def test_json_has_every_rule_with_what_was_found(self):
        status, text = run("--json")
        document = json.loads(text)
        self.assertEqual((status, document.keys()), (0, {"at", "clean", "rules"}))
        self.assertIs(document["clean"], True)
        self.assertEqual([rule["name"] for rule in document["rules"]], [rule.name for rule in RULES])
        self.spoil()
        status, text = run("--json")
        document = json.loads(text[: text.rindex("}") + 1])
        self.assertEqual((status, document["clean"]), (1, False))
        broken = {rule["name"]: rule for rule in document["rules"] if rule["found"]}
        self.assertEqual(broken.keys(), {"voucher_origin", "one_issue", "terms_of_sale"})
        self.assertEqual(
            broken["terms_of_sale"],
            {
                "name": "terms_of_sale",
                "rule": next(rule.description for rule in RULES if rule.name == "terms_of_sale"),
                "about": "voucher",
                "found": 1,
                "ids": [self.free_voucher.pk],
                "notes": [],
            },
        )
        self.assertEqual((broken["one_issue"]["found"], len(broken["one_issue"]["ids"])), (25, 20))

    def test_it_writes_no_code(self):
        Voucher.objects.update(face_value=99, holds="", is_active=True, inactive_reason="", uses_reversed=1)
        for options in ([], ["--json"]):
            status, text = run(*options)
            self.assertEqual(status, 1)
            for voucher in Voucher.objects.all():
                for form in (voucher.code, voucher.shown_code):
                    self.assertNotIn(form, text)

    def test_a_database_that_cannot_be_read_is_told_from_books_that_are_wrong(self):
        empty = home() / "empty.sqlite3"
        done = subprocess.run(
            [sys.executable, "manage.py", "audit"],
            cwd=settings.BASE_DIR,
            env={**os.environ, "DATABASE_URL": f"sqlite:///{empty}"},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        self.assertRegex(done.stderr, r"^CommandError: The database failed at \w+: OperationalError\.\n$")
