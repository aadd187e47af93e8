import json
from unittest.mock import patch

from django.test import override_settings
from drf_spectacular.generators import SchemaGenerator

from apps.authentication import password_reset_links, services
from apps.authentication.models import Session
from apps.core.api import fields
from apps.payments.tests.factories import make_completed_transaction, make_transaction
from apps.users import views
from apps.users.tests.factories import make_customer, make_other_customer
from apps.vouchers import services as vouchers
from apps.vouchers.models import Voucher
from tests.support.cases import ApiTestCase

URL = "/api/users/export/"


class ExportingOnesData(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.api = self.signed_in(self.customer)

    def fill(self, times=1):
        for _ in range(times):
            paid = make_completed_transaction(user=self.customer, quantity=2)
            make_transaction(user=self.customer)
            voucher = Voucher.objects.filter(sale__transaction=paid)[0]
            vouchers.redeem_voucher(code=voucher.code, user=self.customer, details={"index": "0123"})
            password_reset_links.send(self.customer)
            services.open_session(user=self.customer)

    def test_the_openapi_document_names_every_part(self):
        schema = SchemaGenerator().get_schema(request=None, public=True)
        described = schema["components"]["schemas"]["ExportOutput"]["properties"]
        self.assertEqual(described.keys(), self.api.get(URL).json().keys())

    def test_it_has_everything_that_is_held(self):
        self.fill()
        self.customer.profile.address = "1 Main Street"
        self.customer.profile.save()
        response = self.api.get(URL)
        self.assertEqual(response.status_code, 200, response.content)
        self.assertEqual(response["Content-Disposition"], 'attachment; filename="my-data.json"')
        self.assertEqual(response["Cache-Control"], "no-store")
        document = response.json()
        self.assertEqual(
            document.keys(),
            {
                "exported_at",
                "profile",
                "email_changes",
                "withheld_mails",
                "mails",
                "sessions",
                "second_factors",
                "vouchers",
                "voucher_history",
                "usages",
                "batches",
                "transactions",
                "refunds",
            },
        )
        self.assertEqual(document["profile"]["email"], "carla@example.com")
        self.assertEqual(document["profile"]["address"], "1 Main Street")
        self.assertEqual(len(document["sessions"]), 2)
        self.assertEqual(len(document["vouchers"]), 2)
        self.assertEqual({voucher["code"] for voucher in document["vouchers"]}, self.codes())
        self.assertEqual([usage["details"] for usage in document["usages"]], [{"index": "0123"}])
        self.assertEqual({paid["status"] for paid in document["transactions"]}, {"completed", "pending"})
        self.assertIn("Set a new password", [mail["subject"] for mail in document["mails"]])
        self.assertEqual(document["mails"][0].keys(), {"subject", "created_at", "status"})

    def codes(self):
        return {voucher.shown_code for voucher in Voucher.objects.all()}

    def test_it_has_nothing_that_would_open_anything(self):
        self.fill()
        text = self.api.get(URL).content.decode()
        session = Session.objects.all()[0]
        link = password_reset_links.link_for(self.customer)
        for secret in (
            session.refresh_jti,
            session.auth_hash,
            str(session.pk),
            self.customer.password,
            link.rpartition("token=")[2],
        ):
            self.assertNotIn(secret, text)

    def test_it_has_nothing_of_others(self):
        other = make_other_customer()
        make_completed_transaction(user=other)
        vouchers.redeem_voucher(code=Voucher.objects.get().code, user=other)
        password_reset_links.send(other)
        document = self.api.get(URL).json()
        self.assertEqual(
            [document[part] for part in ("vouchers", "usages", "transactions", "mails")], [[]] * 4
        )
        self.assertNotIn("otto", json.dumps(document))

    def test_however_much_it_is_it_takes_the_same_queries(self):
        self.fill()
        for _ in range(2):
            with self.assertQueries(13):  # who asks; and one for each part
                self.assertEqual(self.api.get(URL).status_code, 200)
            self.fill(times=3)

    def test_very_much_goes_to_a_file_and_is_the_same(self):
        self.fill(times=2)
        whole = self.api.get(URL)
        with patch.object(views, "IN_MEMORY", 100), patch.object(fields, "EXPORT_CHUNK", 3):
            streamed = self.api.get(URL)
            self.assertEqual(self.api.head(URL).getvalue(), b"")
        self.assertTrue(streamed.streaming)
        for name in ("Content-Type", "Content-Disposition", "Cache-Control"):
            self.assertEqual(streamed[name], whole[name])
        self.assertEqual(
            {**json.loads(streamed.getvalue()), "exported_at": ""}, {**whole.json(), "exported_at": ""}
        )

    @override_settings(RATE_LIMITS_ENABLED=True, LIMIT_EXPORTS=(2, 3600))
    def test_it_is_not_asked_for_all_the_time(self):
        for status in (200, 200, 429):
            self.assertEqual(self.api.get(URL).status_code, status)

    def test_every_time_is_in_utc(self):
        self.fill()
        document = self.api.get(URL).json()
        for moment in (
            document["exported_at"],
            document["profile"]["date_joined"],
            document["sessions"][0]["created_at"],
            document["mails"][0]["created_at"],
            document["vouchers"][0]["expiry_date"],
        ):
            self.assertRegex(moment, r"\A\d{4}-\d\d-\d\dT[\d:.]+Z\Z")

    def test_one_must_be_signed_in(self):
        self.assertProblem(self.client.get(URL), 401, "not_authenticated")
