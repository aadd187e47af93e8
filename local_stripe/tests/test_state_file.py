"""What the local Stripe keeps in a file, and goes on from."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
import time
import unittest
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import stripe

from local_stripe import LocalStripe
from local_stripe.runtime import state as state_module
from local_stripe.runtime.storage import Storage, StorageUnavailableError

from .support import Endpoint, client_of


class StateFileTests(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.file = Path(folder, "state")
        telemetry = stripe.enable_telemetry
        stripe.enable_telemetry = False
        self.addCleanup(setattr, stripe, "enable_telemetry", telemetry)

    def start(self, **options: Any) -> LocalStripe:
        server = LocalStripe(state_file=self.file, retry_delays=(0.01,), **options).start()
        self.addCleanup(server.stop)
        return server

    def paid(self, server: LocalStripe, payment_method: str = "pm_card_visa") -> str:
        params: Any = {"amount": 1000, "currency": "usd", "allowed_payment_method_types": ["card"]}
        intent = client_of(server).v1.payment_intents.create(params).id
        server.pay(intent, payment_method)
        return intent

    def wait_until(self, happens: Any) -> None:
        deadline = time.monotonic() + 60
        while not happens():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def test_a_payment_of_an_earlier_process_is_refunded_once(self) -> None:
        first = self.start()
        intent = self.paid(first)
        before = (first.payment_intent(intent), first.charges(), first.events())
        first.stop()

        second = self.start()
        self.assertEqual((second.payment_intent(intent), second.charges(), second.events()), before)
        client = client_of(second)
        params: Any = {"payment_intent": intent}
        refund = client.v1.refunds.create(params, {"idempotency_key": "k"})
        second.stop()

        client = client_of(self.start())
        self.assertEqual(client.v1.refunds.create(params, {"idempotency_key": "k"}).id, refund.id)
        with self.assertRaises(stripe.InvalidRequestError) as refused:
            client.v1.refunds.create(params, {"idempotency_key": "other"})
        self.assertEqual(refused.exception.code, "charge_already_refunded")

    def test_each_change_is_in_the_file_as_soon_as_it_is_answered(self) -> None:
        server = self.start()
        steps: list[Any] = []

        def stored() -> dict[str, str]:
            """What a process that begins now would know, from a copy of the file, as after `kill -9`."""
            copy = self.file.with_name("copy")
            copy.unlink(missing_ok=True)
            shutil.copy(self.file, copy)
            with LocalStripe(state_file=copy) as other:
                return memory_of(other)

        client = client_of(server)
        create: Any = {"amount": 1000, "currency": "usd", "allowed_payment_method_types": ["card"]}
        three_ds: Any = {**create, "payment_method": "pm_card_authenticationRequired", "confirm": True}
        steps += [
            lambda: client.v1.payment_intents.create(create, {"idempotency_key": "k"}),
            lambda: client.v1.payment_intents.update(self.newest(server), {"metadata": {"a": "1"}}),
            lambda: server.pay(self.newest(server)),
            lambda: client.v1.refunds.create({"payment_intent": self.newest(server), "amount": 100}),
            lambda: client.v1.refunds.update(server.refunds()[0]["id"], {"metadata": {"b": "2"}}),
            lambda: server.settle_refund(server.refunds()[0]["id"], "failed"),
            lambda: server.dispute(self.newest(server), 300, inquiry=True),
            lambda: server.escalate_dispute(server.disputes()[0]["id"]),
            lambda: client.v1.disputes.update(
                server.disputes()[0]["id"], {"evidence": {"uncategorized_text": "x"}}
            ),
            lambda: server.close_dispute(server.disputes()[0]["id"], "won"),
            lambda: client.v1.payment_intents.create(three_ds),
            lambda: server.settle(self.newest(server), "succeeded"),
            lambda: client.v1.payment_intents.create(create),
            lambda: client.v1.payment_intents.cancel(self.newest(server)),
            lambda: server.override_payment_intent(self.newest(server), {"amount_received": 1}),
            lambda: server.import_payments(
                [{"id": "pi_x", "amount": 9, "currency": "usd", "status": "canceled", "created": 5}]
            ),
            server.reset,
        ]
        before = memory_of(server)
        for number, step in enumerate(steps):
            with self.subTest(number):
                step()
                after = memory_of(server)
                self.assertTrue(differing(after, before))
                self.assertEqual(differing(stored(), after), [])
                before = after

    def newest(self, server: LocalStripe) -> str:
        return list(server.state.of_kind("payment_intent"))[-1]

    def test_what_an_earlier_process_did_not_come_to_is_done(self) -> None:
        first = self.start(settle_after=86400, webhook_url="http://127.0.0.1:1/")
        pending, disputed = self.paid(first, "pm_card_pendingRefund"), self.paid(first)
        first.refund(pending)
        dispute: Any = first.dispute(disputed)["id"]
        evidence: Any = {"evidence": {"uncategorized_text": "winning_evidence"}}
        client_of(first).v1.disputes.update(dispute, evidence)
        first.wait_for_webhooks()
        undelivered = [event["id"] for event in first.events()]
        first.stop()

        with Endpoint() as endpoint:
            second = self.start(settle_after=0, webhook_url=endpoint.url)
            self.wait_until(lambda: second.refunds()[0]["status"] == "succeeded")
            self.wait_until(lambda: second.disputes()[0]["status"] == "won")
            self.assertTrue(second.wait_for_webhooks(60))
            self.assertEqual([event["id"] for event in endpoint.events][: len(undelivered)], undelivered)
            deliveries = len(endpoint.events)
            second.stop()
            third = self.start(webhook_url=endpoint.url)
            self.assertTrue(third.wait_for_webhooks(60))
            self.assertEqual(len(endpoint.events), deliveries)

    def test_events_are_forgotten_after_thirty_days_as_at_stripe(self) -> None:
        first = self.start()
        intent = self.paid(first)
        first.stop()
        with mock.patch.object(state_module, "now", lambda: int(time.time()) + 31 * 86400):
            second = self.start()
        self.assertEqual(second.events(), [])
        self.assertEqual(second.payment_intent(intent)["status"], "succeeded")

    def test_a_key_whose_request_was_never_answered_is_free(self) -> None:
        first = self.start()
        first.add_fault(method="POST", path="/v1/payment_intents", delay=60)
        params: Any = {"amount": 1000, "currency": "usd"}

        def call() -> None:
            with suppress(stripe.APIConnectionError):
                client_of(first).v1.payment_intents.create(params, {"idempotency_key": "k"})

        caller = threading.Thread(target=call)
        caller.start()
        self.wait_until(lambda: first.state.idempotency)
        first.state.close()  # as `kill -9` would: nothing is written any more
        first.stop()
        caller.join()
        second = self.start()
        client_of(second).v1.payment_intents.create(params, {"idempotency_key": "k"})

    def test_a_file_that_cannot_be_read_is_set_aside(self) -> None:
        self.start().stop()
        whole = self.file.read_bytes()
        newer = sqlite3.connect(self.file)
        newer.execute("PRAGMA user_version = 99")
        newer.close()
        later = self.file.read_bytes()
        torn = whole[: len(whole) // 2]
        for broken in (b"no database, but a text of some length\n" * 99, torn, later):
            with self.subTest(broken[:16]):
                self.file.write_bytes(broken)
                with self.assertLogs("local_stripe", "WARNING") as log:
                    server = self.start()
                assert server.set_aside is not None
                self.assertIn(str(server.set_aside), log.output[0])
                self.assertEqual(server.set_aside.read_bytes()[:100], broken[:100])
                intent = self.paid(server)
                server.stop()
                self.assertEqual(self.start().payment_intent(intent)["status"], "succeeded")
                self.stop_all()

    def stop_all(self) -> None:
        self.doCleanups()
        self.setUp()

    def test_a_row_that_cannot_be_read_sets_the_file_aside(self) -> None:
        server = self.start()
        self.paid(server)
        server.stop()
        database = sqlite3.connect(self.file)
        with database:
            database.execute("UPDATE row SET body = '{' WHERE \"table\" = 'charge'")
        database.close()
        with self.assertLogs("local_stripe", "WARNING"):
            server = self.start()
        self.assertEqual((server.charges(), server.events()), ([], []))

    def test_two_never_have_the_same_file(self) -> None:
        self.start()
        with self.assertRaisesRegex(StorageUnavailableError, "state: in use by another local Stripe"):
            LocalStripe(state_file=self.file)

    def test_a_file_that_cannot_be_made_is_said(self) -> None:
        with self.assertRaisesRegex(StorageUnavailableError, "unable to open"):
            LocalStripe(state_file=self.file.parent / "nowhere" / "state")

    def test_a_change_that_cannot_be_written_stands_and_is_written_with_the_next(self) -> None:
        server = self.start()
        with (
            mock.patch.object(Storage, "save", side_effect=sqlite3.OperationalError("disk is full")),
            self.assertLogs("local_stripe", "ERROR"),
        ):
            intent = self.paid(server)
        self.paid(server)
        server.stop()
        self.assertEqual(self.start().payment_intent(intent)["status"], "succeeded")


def memory_of(server: LocalStripe) -> dict[str, str]:
    """All that a local Stripe remembers, by table, as it is now."""
    with server.state.lock:
        tables: dict[str, Any] = {
            **server.state.objects,
            "card": server.state.cards,
            "token": server.state.authentications,
        }
        memory = {name: repr(list(table.items())) for name, table in tables.items() if table}
        return {**memory, "key": repr(list(server.state.idempotency.items()))}


def differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """The names under which two memories are not the same."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
