"""What the tests of `manage.py issue_vouchers` share."""

import csv
import io
from pathlib import Path
from tempfile import TemporaryDirectory

from django.core.management import call_command
from django.test import SimpleTestCase

from apps.users.models import User
from apps.vouchers.models import VoucherType


class BatchCommandTestCase(SimpleTestCase):
    """A test that runs the command, with a folder of its own for its files."""

    type: VoucherType
    owner: User

    def setUp(self):
        super().setUp()
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.file = self.folder / "codes.csv"

    def issue(self, **options):
        """Run the command; what it said, on both ways out."""
        said = io.StringIO()
        defaults = {"type": self.type.name, "owner": self.owner.email, "count": 5}
        call_command("issue_vouchers", **{**defaults, **options}, stdout=said, stderr=said)
        return said.getvalue()

    def rows(self):
        with self.file.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file))
