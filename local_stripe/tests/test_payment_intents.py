"""Create, retrieve, update, cancel and list PaymentIntents with stripe-python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import stripe

from .support import LocalStripeTestCase, client_of


class CreateTests(LocalStripeTestCase):
    def test_it_creates_an_intent_in_stripes_shape(self) -> None:
        intent = self.create(metadata={"order_id": "o-1"}, description="Two vouchers")
        self.assertTrue(intent.id.startswith("pi_"))
        self.assertTrue(str(intent.client_secret).startswith(f"{intent.id}_secret_"))
        self.assertEqual(intent.status, "requires_payment_method")
        self.assertEqual((intent.amount, intent.currency, intent.amount_received), (1000, "usd", 0))
        self.assertEqual(intent.metadata.to_dict(), {"order_id": "o-1"})
        self.assertEqual(intent.description, "Two vouchers")
        self.assertIs(intent.livemode, False)
        for field in ("latest_charge", "last_payment_error", "next_action", "canceled_at", "payment_method"):
            self.assertIsNone(getattr(intent, field))
        self.assertEqual(self.types(), ["payment_intent.created"])

    def test_it_has_no_field_that_stripe_python_does_not_know(self) -> None:
        known = set(stripe.PaymentIntent.__annotations__)
        fields = set(self.create().to_dict())
        self.assertEqual(fields - known, set())
        self.assertGreater(len(fields), 35)

    def test_it_takes_automatic_payment_methods_for_granted(self) -> None:
        intent = self.client.v1.payment_intents.create({"amount": 1000, "currency": "usd"})
        assert intent.automatic_payment_methods is not None
        self.assertTrue(intent.automatic_payment_methods.enabled)
        self.assertIsNone(self.create().automatic_payment_methods)

    def test_it_waits_for_confirmation_when_it_knows_the_payment_method(self) -> None:
        intent = self.create(payment_method="pm_card_visa")
        self.assertEqual(intent.status, "requires_confirmation")
        self.assertTrue(str(intent.payment_method).startswith("pm_1"))

    def test_it_can_be_created_and_paid_at_once(self) -> None:
        intent = self.create(payment_method="pm_card_visa", confirm=True)
        self.assertEqual(intent.status, "succeeded")
        self.assertEqual(
            self.types(), ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]
        )

    def test_confirm_without_payment_method_creates_nothing(self) -> None:
        with self.assertRaises(stripe.InvalidRequestError) as caught:
            self.create(confirm=True)
        self.assertEqual(caught.exception.code, "payment_intent_unexpected_state")
        self.assertEqual(self.client.v1.payment_intents.list().data, [])
        self.assertEqual(self.types(), [])


class RetrieveTests(LocalStripeTestCase):
    def test_it_retrieves_what_was_created(self) -> None:
        intent = self.create(metadata={"order_id": "o-1"})
        again = self.client.v1.payment_intents.retrieve(intent.id)
        self.assertEqual(again.to_dict(), intent.to_dict())

    def test_an_unknown_intent_is_missing(self) -> None:
        with self.assertRaises(stripe.InvalidRequestError) as caught:
            self.client.v1.payment_intents.retrieve("pi_unknown")
        self.assertEqual((caught.exception.http_status, caught.exception.code), (404, "resource_missing"))
        self.assertEqual(caught.exception.param, "intent")

    def test_it_expands_the_charge(self) -> None:
        intent = self.create(payment_method="pm_card_visa", confirm=True)
        full = self.client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
        self.assertEqual(full.latest_charge.amount, 1000)  # type: ignore[union-attr]
        listed = self.client.v1.payment_intents.list({"expand": ["data.latest_charge.payment_intent"]})
        self.assertEqual(listed.data[0].latest_charge.payment_intent.id, intent.id)  # type: ignore[union-attr]
        with self.assertRaises(stripe.InvalidRequestError):
            self.client.v1.payment_intents.retrieve(intent.id, {"expand": ["status"]})


class UpdateTests(LocalStripeTestCase):
    def update(self, id: str, **params: Any) -> stripe.PaymentIntent:
        return self.client.v1.payment_intents.update(id, params)  # type: ignore[arg-type]

    def test_it_changes_amount_and_words(self) -> None:
        intent = self.update(self.create().id, amount=2000, currency="eur", description="New")
        self.assertEqual((intent.amount, intent.currency, intent.description), (2000, "eur", "New"))
        self.assertEqual(intent.status, "requires_payment_method")

    def test_it_merges_metadata(self) -> None:
        intent = self.create(metadata={"a": "1", "b": "2"})
        self.assertEqual(
            self.update(intent.id, metadata={"b": "", "c": "3"}).metadata.to_dict(), {"a": "1", "c": "3"}
        )
        self.assertEqual(self.update(intent.id, metadata="").metadata.to_dict(), {})

    def test_it_unsets_the_receipt_address(self) -> None:
        intent = self.create(receipt_email="a@example.com")
        self.assertEqual(intent.receipt_email, "a@example.com")
        self.assertIsNone(self.update(intent.id, receipt_email="").receipt_email)

    def test_a_payment_method_asks_for_confirmation(self) -> None:
        self.assertEqual(
            self.update(self.create().id, payment_method="pm_card_visa").status, "requires_confirmation"
        )

    def test_a_paid_intent_keeps_its_amount_but_takes_metadata(self) -> None:
        intent = self.create(payment_method="pm_card_visa", confirm=True)
        with self.assertRaises(stripe.InvalidRequestError) as caught:
            self.update(intent.id, amount=5000)
        self.assertEqual(caught.exception.code, "payment_intent_unexpected_state")
        self.assertEqual(self.client.v1.payment_intents.retrieve(intent.id).amount, 1000)
        self.assertEqual(self.update(intent.id, metadata={"a": "1"}).metadata.to_dict(), {"a": "1"})

    def test_an_update_of_the_amount_takes_back_the_authentication(self) -> None:
        intent = self.create(payment_method="pm_card_threeDSecure2Required", confirm=True)
        self.assertEqual(intent.status, "requires_action")
        changed = self.update(intent.id, amount=2000)
        self.assertEqual((changed.status, changed.next_action), ("requires_confirmation", None))


class PaymentMethodTypesTests(LocalStripeTestCase):
    """The types are allowed, no longer dictated: Stripe's changelog, 2026-07-29.dahlia and 2026-09-30.endive."""

    def by_default(self) -> stripe.PaymentIntent:
        """An intent whose types the Dashboard chooses."""
        return self.client.v1.payment_intents.create({"amount": 1000, "currency": "usd"})

    def calls(self, id: str) -> dict[str, Callable[[Any], stripe.PaymentIntent]]:
        """Each call that takes the parameter; the intent ``id`` is the one to update or confirm."""
        intents: Any = self.client.v1.payment_intents
        return {
            "create": lambda params: intents.create({"amount": 1000, "currency": "usd", **params}),
            "update": lambda params: intents.update(id, params),
            "confirm": lambda params: intents.confirm(id, {"payment_method": "pm_card_visa", **params}),
        }

    def refused(self, call: Callable[[Any], object], params: Any) -> stripe.InvalidRequestError:
        """Make a call that must answer 400 and leave everything as it was; gives the error."""
        before = [intent.to_dict() for intent in self.client.v1.payment_intents.list()]
        with self.assertRaises(stripe.InvalidRequestError) as caught:
            call(params)
        self.assertEqual(caught.exception.http_status, 400)
        after = [intent.to_dict() for intent in self.client.v1.payment_intents.list()]
        self.assertEqual(after, before)
        return caught.exception

    def test_the_dashboard_chooses_unless_told_otherwise(self) -> None:
        intent = self.by_default()
        self.assertIsNone(intent.allowed_payment_method_types)
        self.assertEqual(intent.payment_method_types, ["card"])

    def test_every_call_takes_it_and_keeps_to_what_is_compatible(self) -> None:
        for name, call in self.calls(self.by_default().id).items():
            with self.subTest(call=name):
                intent = call({"allowed_payment_method_types": ["ideal", "card"]})
                self.assertEqual(intent.allowed_payment_method_types, ["ideal", "card"])
                self.assertEqual(intent.payment_method_types, ["card"])
                self.assertIsNone(intent.automatic_payment_methods)
        again = self.client.v1.payment_intents.retrieve(intent.id)
        self.assertEqual((again.status, again.to_dict()), ("succeeded", intent.to_dict()))

    def test_without_redirects_a_server_needs_no_return_url(self) -> None:
        call = self.calls(self.by_default().id)["confirm"]
        self.assertEqual(self.refused(call, {}).param, "return_url")
        self.assertEqual(call({"allowed_payment_method_types": ["card"]}).status, "succeeded")

    def test_a_browser_sees_it(self) -> None:
        intent = self.create()
        secret = {"client_secret": str(intent.client_secret)}
        answer = self.browser("GET", f"/v1/payment_intents/{intent.id}", secret)
        self.assertEqual(answer.json["allowed_payment_method_types"], ["card"])

    def test_every_call_refuses_it_when_nothing_remains(self) -> None:
        for name, call in self.calls(self.by_default().id).items():
            with self.subTest(call=name):
                error = self.refused(call, {"allowed_payment_method_types": ["ideal", "paypal"]})
                self.assertIn("No valid payment method types", str(error.user_message))

    def test_every_call_refuses_the_old_parameter(self) -> None:
        for name, call in self.calls(self.create().id).items():
            for types in (["card"], ["sofort"], "card"):
                with self.subTest(call=name, types=types):
                    error = self.refused(call, {"payment_method_types": types})
                    self.assertEqual(error.code, "payment_method_types_no_longer_supported")
                    self.assertEqual(error.param, "payment_method_types")
                    assert error.error is not None
                    self.assertEqual(error.error.type, "invalid_request_error")

    def test_a_browser_may_not_send_the_old_parameter_either(self) -> None:
        error = self.confirm(self.create(), **{"payment_method_types[]": "card"}).json["error"]
        self.assertEqual(error["code"], "payment_method_types_no_longer_supported")

    def test_it_excludes_the_other_ways_to_choose(self) -> None:
        others: dict[str, Any] = {
            "automatic_payment_methods": {"enabled": True},
            "excluded_payment_method_types": ["link"],
            "payment_method_configuration": "pmc_1",
        }
        calls = self.calls(self.create().id)
        for name, other in (
            *(("create", other) for other in others),
            ("update", "excluded_payment_method_types"),
            ("update", "payment_method_configuration"),
            ("confirm", "excluded_payment_method_types"),
        ):
            with self.subTest(call=name, other=other):
                both = {"allowed_payment_method_types": ["card"], other: others[other]}
                error = self.refused(calls[name], both)
                self.assertEqual(error.param, other)
                self.assertIn("only specify one of these parameters", str(error.user_message))

    def test_it_excludes_the_old_parameter_too(self) -> None:
        both = {"allowed_payment_method_types": ["card"], "payment_method_types": ["card"]}
        for name, call in self.calls(self.create().id).items():
            with self.subTest(call=name):
                self.assertEqual(self.refused(call, both).code, "payment_method_types_no_longer_supported")

    def test_a_paid_intent_keeps_its_types(self) -> None:
        intent = self.create(payment_method="pm_card_visa", confirm=True)
        error = self.refused(self.calls(intent.id)["update"], {"allowed_payment_method_types": ["card"]})
        self.assertEqual(error.code, "payment_intent_unexpected_state")


class CancelTests(LocalStripeTestCase):
    def test_it_cancels_and_says_why(self) -> None:
        intent = self.create()
        canceled = self.client.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "abandoned"})
        self.assertEqual((canceled.status, canceled.cancellation_reason), ("canceled", "abandoned"))
        self.assertIsInstance(canceled.canceled_at, int)
        self.assertEqual(self.types(), ["payment_intent.created", "payment_intent.canceled"])

    def test_it_refuses_to_cancel_what_is_over_or_under_way(self) -> None:
        for method, status in (("pm_card_visa", "succeeded"), ("pm_local_processing", "processing")):
            with self.subTest(status=status):
                intent = self.create(payment_method=method, confirm=True)
                with self.assertRaises(stripe.InvalidRequestError) as caught:
                    self.client.v1.payment_intents.cancel(intent.id)
                error = caught.exception
                self.assertEqual((error.http_status, error.code), (400, "payment_intent_unexpected_state"))
                assert error.error is not None and error.error.payment_intent is not None
                self.assertEqual(error.error.payment_intent.id, intent.id)
                self.assertEqual(self.status_of(intent.id), status)

    def test_it_refuses_to_cancel_twice(self) -> None:
        intent = self.create()
        self.client.v1.payment_intents.cancel(intent.id)
        with self.assertRaises(stripe.InvalidRequestError):
            self.client.v1.payment_intents.cancel(intent.id)
        self.assertEqual(self.types().count("payment_intent.canceled"), 1)

    def test_a_canceled_intent_cannot_be_paid(self) -> None:
        intent = self.create()
        self.client.v1.payment_intents.cancel(intent.id)
        answer = self.confirm(intent)
        self.assertEqual(
            (answer.status, answer.json["error"]["code"]), (400, "payment_intent_unexpected_state")
        )
        self.assertEqual(self.status_of(intent.id), "canceled")


class ListTests(LocalStripeTestCase):
    def test_it_lists_the_newest_first_in_pages(self) -> None:
        ids = [self.create().id for _ in range(5)]
        page = self.client.v1.payment_intents.list({"limit": 2})
        self.assertEqual(([i.id for i in page.data], page.has_more), ([ids[4], ids[3]], True))
        page = self.client.v1.payment_intents.list({"limit": 3, "starting_after": ids[3]})
        self.assertEqual(([i.id for i in page.data], page.has_more), ([ids[2], ids[1], ids[0]], False))
        page = self.client.v1.payment_intents.list({"limit": 2, "ending_before": ids[0]})
        self.assertEqual(([i.id for i in page.data], page.has_more), ([ids[2], ids[1]], True))
        every = self.client.v1.payment_intents.list({"limit": 2}).auto_paging_iter()
        self.assertEqual([i.id for i in every], ids[::-1])

    def test_it_gives_ten_unless_asked(self) -> None:
        for _ in range(11):
            self.create()
        page = self.client.v1.payment_intents.list()
        self.assertEqual((len(page.data), page.has_more, page.url), (10, True, "/v1/payment_intents"))

    def test_it_narrows_by_time(self) -> None:
        ids = {}
        for moment in (100, 200, 300):
            with mock.patch("local_stripe.resources.payment_intent_schema.now", return_value=moment):
                ids[moment] = self.create().id
        for bounds, moments in (
            ({"gte": 200}, [300, 200]),
            ({"gt": 200}, [300]),
            ({"lt": 200}, [100]),
            ({"lte": 200, "gt": 100}, [200]),
            (300, [300]),
        ):
            with self.subTest(bounds=bounds):
                page = self.client.v1.payment_intents.list({"created": bounds})  # type: ignore[arg-type]
                self.assertEqual([i.id for i in page.data], [ids[m] for m in moments])

    def test_it_refuses_bad_cursors_and_limits(self) -> None:
        id = self.create().id
        for params in (
            {"limit": 0},
            {"limit": 101},
            {"starting_after": "pi_unknown"},
            {"starting_after": id, "ending_before": id},
            {"created": {"since": 1}},
        ):
            with self.subTest(params=params), self.assertRaises(stripe.InvalidRequestError):
                self.client.v1.payment_intents.list(params)  # type: ignore[arg-type]

    def test_all_keys_share_one_account(self) -> None:
        id = self.create().id
        other = client_of(self.server, "sk_test_other")
        self.assertEqual([i.id for i in other.v1.payment_intents.list().data], [id])
