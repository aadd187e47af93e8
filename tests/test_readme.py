"""README's "See it in a minute", run exactly as it is printed there."""

import json
import os
import re
import subprocess
from io import StringIO

from django.conf import settings
from django.core.management import call_command
from django.test import LiveServerTestCase, tag

from apps.payments.models import Transaction
from apps.vouchers.models import Voucher, VoucherUsage
from tests.support.flush import FastFlushTestCase
from tests.support.stripe import StripeTestCase


@tag("server")
class ReadmeTests(StripeTestCase, FastFlushTestCase, LiveServerTestCase):
    def test_see_it_in_a_minute_does_what_it_says(self):
        call_command("create_sample_vouchers", stdout=StringIO())
        section = (settings.BASE_DIR / "README.md").read_text().split("## See it in a minute")[1]
        (commands,) = re.findall(r"```sh\n(.*?)```", section.split("\n## ")[0], re.DOTALL)
        environment = {
            **os.environ,
            "API": f"{self.live_server_url}/api",
            "STRIPE": self.stripe.base_url,
            "NO_PROXY": "127.0.0.1,localhost",
        }
        ran = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", commands],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(ran.returncode, 0, ran.stderr)
        paid, redeemed, refused = ran.stdout.splitlines()
        self.assertEqual((paid, redeemed), ("succeeded", "Voucher redeemed."))
        refusal = json.loads(refused)
        self.assertEqual((refusal["status"], refusal["code"]), (409, "voucher_used_up"))
        self.assertEqual(Transaction.objects.get().status, "completed")
        self.assertEqual((Voucher.objects.count(), VoucherUsage.objects.count()), (2, 1))
