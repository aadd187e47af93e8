"""The snippets of "Build a client" in docs/api.md, run exactly as they are printed there."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from unittest import skipUnless

from django.conf import settings
from django.test import LiveServerTestCase, tag

from apps.authentication.models import Session
from apps.payments.models import Refund, Transaction
from apps.users.models import UserProfile
from apps.vouchers.models import Voucher, VoucherUsage
from apps.vouchers.tests.factories import make_type
from tests.support.flush import FastFlushTestCase
from tests.support.runner import home
from tests.support.stripe import StripeTestCase

ROOT = Path(settings.BASE_DIR)


@skipUnless(shutil.which("node"), "node is not there")
@tag("server")
class BuildAClientTests(StripeTestCase, FastFlushTestCase, LiveServerTestCase):
    def run_snippets(self) -> list[str]:
        """The lines that the snippets print, one after the other as one program."""
        section = (ROOT / "docs/api.md").read_text().split("\n## Build a client\n")[1].split("\n## ")[0]
        snippets = re.findall(r"```js\n(.*?)```", section, re.DOTALL)
        self.assertEqual(len(snippets), 7)
        text = "\n".join(snippets)
        self.assertIn("http://127.0.0.1:8000", text)
        program = home() / "build-a-client.mjs"
        program.write_text(text.replace("http://127.0.0.1:8000", self.live_server_url))
        ran = subprocess.run(
            ["node", "--import", str(ROOT / "tests/clients/page_prelude.mjs"), str(program)],
            env={**os.environ, "STRIPE": self.stripe.base_url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return ran.stdout.splitlines()

    def test_the_snippets_do_what_they_say(self):
        make_type(price="10.00", max_uses=3)
        confirmed, uses_left, transaction = self.run_snippets()
        first, second = Voucher.objects.order_by("pk")
        self.assertIn(f"'{first.shown_code}'", confirmed)
        self.assertIn(f"'{second.shown_code}'", confirmed)
        self.assertEqual((uses_left, transaction), ("2", "completed 20.00"))
        self.assertEqual(VoucherUsage.objects.get().details, {"desk": "Accra 3"})
        self.assertEqual(Transaction.objects.get().status, "completed")
        self.assertEqual(Refund.objects.get().reason, "Bought twice")
        self.assertEqual(
            UserProfile.objects.get().phone_number, "+233 20 123 4567"
        )  # by cookie and CSRF token
        # Registered, signed in with tokens, and with cookies; the latter two signed out.
        self.assertEqual(Session.objects.filter(ended_at__isnull=True).count(), 1)
