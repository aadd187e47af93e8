"""The life of vouchers: whatever is done with them in whichever order, they are as a model of plain rules says."""

from datetime import UTC, datetime
from typing import Any

from django.test import override_settings, tag
from hypothesis import settings, stateful

from apps.vouchers import errors, states
from tests.support.cases import ApiTestCase

from .lifecycle import Lifecycle

# Errors about batches, about what was typed, and the base of others.
NOT_OF_A_VOUCHER = {
    "BatchDiffers",
    "BatchIncomplete",
    "CodeMalformed",
    "ExportDecided",
    "ExportRequestNotFound",
    "ExportRequested",
    "ReasonInvalid",
    "VoucherRefused",
}


@tag("slow")
class LifecycleTests(ApiTestCase):
    def test_vouchers_are_as_the_model_says_whatever_is_done_in_whichever_order(self):
        refusals = set(errors.__all__) - NOT_OF_A_VOUCHER
        others = {"AccountClosed", "IdempotencyKeyReused", "redeemed", "replayed", "paid after closing"}
        kinds = set(states.VoucherEventKind.values) - {"reminded", "reassigned"}
        Lifecycle.seen.clear()
        # What is drawn depends on the library and on all of our code: until each thing has happened, it takes more.
        for examples in (20, 60, 180):
            how: Any = {
                "max_examples": examples,
                "stateful_step_count": 30,
                "derandomize": True,
                "database": None,
            }
            noon = f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"
            with override_settings(TIME_ZONE=noon):  # so no day ends meanwhile
                stateful.run_state_machine_as_test(Lifecycle, settings=settings(deadline=None, **how))
            if not (missing := (refusals | others | kinds) - set(Lifecycle.seen)):
                break
        self.assertEqual(missing, set())
