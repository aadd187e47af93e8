import datetime
from typing import Any

from django.test import override_settings
from django.utils import timezone

from apps.users import services
from apps.users.models import User, UserProfile
from apps.users.tests.factories import make_customer, make_other_customer, make_staff
from tests.support.cases import ApiTestCase, RaceTestCase

URL = "/api/users/profile/"
ADDRESSES = (URL, "/api/auth/profile/")
MEMBERS = {
    "id",
    "email",
    "email_confirmed",
    "first_name",
    "last_name",
    "full_name",
    "phone_number",
    "address",
    "date_of_birth",
    "profile_picture",
    "expiry_reminders",
    "language",
    "is_staff",
    "date_joined",
}


class OnesOwnProfile(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.other_customer = make_other_customer()
        self.api = self.signed_in(self.customer)

    def stored(self):
        """The rows of both people."""
        return list(User.objects.order_by("id").values()), list(UserProfile.objects.order_by("id").values())

    def refused(self, **body):
        """The codes of the errors of a PATCH, which has changed nothing."""
        before = self.stored()
        document = self.assertProblem(self.api.patch(URL, body), 400, "validation_error")
        self.assertEqual(self.stored(), before)
        return {name: [error["code"] for error in errors] for name, errors in document["errors"].items()}

    def test_reading_takes_two_queries(self):
        for url in ADDRESSES:
            with self.assertQueries(2):
                self.api.get(url)

    def test_it_has_the_members_of_the_contract(self):
        for url in ADDRESSES:
            response = self.api.get(url)
            self.assertEqual(response.status_code, 200, response.content)
            answer = response.json()
            self.assertEqual(answer.keys(), MEMBERS)
            self.assertEqual(
                (answer["id"], answer["email"], answer["full_name"]),
                (self.customer.pk, "carla@example.com", "Carla Customer"),
            )
            self.assertEqual((answer["phone_number"], answer["address"]), ("", ""))
            self.assertEqual((answer["date_of_birth"], answer["profile_picture"]), (None, None))
            self.assertIs(answer["is_staff"], False)
            joined = answer["date_joined"]
            self.assertTrue(joined.endswith("Z"))
            self.assertEqual(datetime.datetime.fromisoformat(joined), self.customer.date_joined)

    @override_settings(TIME_ZONE="Africa/Nairobi")
    def test_times_are_in_utc_whatever_the_projects_time_zone(self):
        self.assertTrue(self.api.get(URL).json()["date_joined"].endswith("Z"))

    def test_staff_are_told_that_they_are(self):
        self.assertIs(self.signed_in(make_staff()).get(URL).json()["is_staff"], True)

    def test_patch_changes_what_it_names_and_nothing_else(self):
        cases = {
            "first_name": "Clara",
            "last_name": "O'Neil-Ängström",
            "phone_number": "+1 (555) 010-0100",
            "address": "1 Main Street\nSpringfield",
            "date_of_birth": "1990-02-28",
        }
        for url in (*ADDRESSES, "/api/users/profile/update/"):
            expected = self.api.get(URL).json()
            for name, value in cases.items():
                with self.subTest(url=url, name=name):
                    response = self.api.patch(url, {name: value})
                    self.assertEqual(response.status_code, 200, response.content)
                    expected[name] = value
                    expected["full_name"] = f"{expected['first_name']} {expected['last_name']}"
                    self.assertEqual(response.json(), expected)
                    self.assertEqual(self.api.get(URL).json(), expected)
        self.assertEqual(User.objects.get(pk=self.other_customer.pk).first_name, "Otto")

    def test_reminders_are_on_until_they_are_turned_off(self):
        for url in ADDRESSES:
            self.assertIs(self.api.get(url).json()["expiry_reminders"], True)
            for off, on in ((False, True), ("false", "true")):
                for value, stored in ((off, False), (on, True)):
                    response = self.api.patch(url, {"expiry_reminders": value})
                    self.assertEqual(response.status_code, 200, response.content)
                    self.assertIs(response.json()["expiry_reminders"], stored)
                    self.assertIs(UserProfile.objects.get(user=self.customer).expiry_reminders, stored)
        oddities: tuple[object, ...] = (None, "", "maybe", 2, [], {})
        for odd in oddities:
            self.assertEqual(self.refused(expiry_reminders=odd).keys(), {"expiry_reminders"})

    def test_a_form_that_does_not_name_the_reminders_leaves_them_as_they_are(self):
        names = {"first_name": "Clara", "last_name": "Client"}
        for stored in (True, False):
            self.api.patch(URL, {"expiry_reminders": stored})
            for method in (self.api.put, self.api.patch):
                response = method(URL, names, format="multipart")
                self.assertEqual(response.status_code, 200, response.content)
                self.assertIs(response.json()["expiry_reminders"], stored)
        self.assertIs(
            self.api.put(URL, {**names, "expiry_reminders": "true"}, format="multipart").json()[
                "expiry_reminders"
            ],
            True,
        )

    def test_an_empty_patch_changes_nothing(self):
        before = self.stored()
        self.assertEqual(self.api.patch(URL, {}).status_code, 200)
        self.assertEqual(self.stored(), before)

    def test_what_may_be_empty_can_be_emptied(self):
        services.update_profile(
            user=self.customer,
            phone_number="555 0100",
            address="Here",
            date_of_birth=datetime.date(1990, 1, 1),
        )
        for empty in (None, ""):
            response = self.api.patch(URL, {"phone_number": empty, "address": empty, "date_of_birth": empty})
            self.assertEqual(response.status_code, 200, response.content)
            answer = response.json()
            self.assertEqual(
                (answer["phone_number"], answer["address"], answer["date_of_birth"]), ("", "", None)
            )

    def test_people_with_one_name_have_no_last_name(self):
        for method, body in (
            (self.api.patch, {"last_name": ""}),
            (self.api.put, {"first_name": "Suharto", "last_name": " "}),
            (self.api.put, {"first_name": "Suharto", "last_name": None}),
        ):
            User.objects.filter(pk=self.customer.pk).update(first_name="Suharto", last_name="Customer")
            response = method(URL, body)
            self.assertEqual(response.status_code, 200, response.content)
            answer = response.json()
            self.assertEqual((answer["last_name"], answer["full_name"]), ("", "Suharto"))
            self.assertEqual(User.objects.get(pk=self.customer.pk).last_name, "")

    def test_put_needs_a_first_name_and_leaves_out_the_rest(self):
        self.api.patch(URL, {"address": "Here"})
        response = self.api.put(URL, {"first_name": "Clara", "last_name": "Client"})
        self.assertEqual(response.status_code, 200, response.content)
        self.assertEqual((response.json()["full_name"], response.json()["address"]), ("Clara Client", "Here"))
        self.assertEqual(self.api.put(URL, {"first_name": "Clara"}).json()["last_name"], "Client")
        before = self.stored()
        body = {"last_name": "B", "phone_number": "555 0100"}
        document = self.assertProblem(self.api.put(URL, body), 400, "validation_error")
        self.assertEqual(document["errors"].keys(), {"first_name"})
        self.assertEqual(self.stored(), before)

    def test_what_one_was_given_can_be_sent_back(self):
        before = self.stored()
        for url in ADDRESSES:
            self.assertEqual(self.api.put(url, self.api.get(url).json()).status_code, 200)
        self.assertEqual(self.stored(), before)

    def test_address_and_flags_are_not_ones_to_change(self):
        before = self.stored()
        body = {
            "email": "other@example.com",
            "is_staff": True,
            "is_superuser": True,
            "is_active": False,
            "id": self.other_customer.pk,
            "user": self.other_customer.pk,
            "password": "x",
            "date_joined": "2000-01-01T00:00:00Z",
            "groups": [1],
        }
        self.assertEqual(self.api.patch(URL, body).status_code, 200)
        self.assertEqual(self.stored(), before)

    def test_it_refuses_what_is_no_name_number_or_address(self):
        cases: dict[str, list[Any]] = {
            "first_name": ["", " ", None, "a" * 151, "two\nlines", "tab\there", [], {}, True],
            "last_name": ["a" * 151, "bell\x07", [], {}, True],
            "phone_number": ["ring me", "1" * 33, "+", "12"],
            "address": ["a" * 501, ["x"]],
        }
        for name, values in cases.items():
            for value in values:
                with self.subTest(name=name, value=value):
                    self.assertEqual(self.refused(**{name: value}).keys(), {name})

    def test_it_refuses_days_that_are_no_birthdays(self):
        tomorrow = timezone.localdate() + datetime.timedelta(days=1)
        cases = {
            str(tomorrow): "in_future",
            "9999-12-31": "in_future",
            "1899-12-31": "too_early",
            "0001-01-01": "too_early",
            "2001-02-29": "invalid",
            "yesterday": "invalid",
            "2001-02-28T10:00:00Z": "invalid",
            "20010228": "invalid",
            "2001-W09-3": "invalid",
            "٢٠٠١-٠٢-٢٨": "invalid",
        }
        for day, code in cases.items():
            with self.subTest(day):
                self.assertEqual(self.refused(date_of_birth=day), {"date_of_birth": [code]})
        others: tuple[Any, ...] = (20010228, True, [], {})
        for other in others:
            self.assertEqual(self.refused(date_of_birth=other).keys(), {"date_of_birth"})
        for day in (str(timezone.localdate()), "1900-01-01"):
            self.assertEqual(self.api.patch(URL, {"date_of_birth": day}).status_code, 200)

    def test_it_refuses_bodies_that_are_no_objects(self):
        before = self.stored()
        for body in ([], ["x"], "text", 7):
            self.assertProblem(self.api.patch(URL, body), 400, "validation_error")
        self.assertProblem(self.api.patch(URL, {"address": "\0"}), 400, "parse_error")
        response = self.api.patch(URL, "a=b", content_type="application/x-www-form-urlencoded")
        self.assertProblem(response, 415, "unsupported_media_type")
        self.assertEqual(self.stored(), before)

    def test_the_older_address_takes_patch_only(self):
        for method in ("get", "put", "post", "delete"):
            response = getattr(self.api, method)("/api/users/profile/update/")
            self.assertProblem(response, 405, "method_not_allowed")

    def test_it_needs_a_signed_in_user(self):
        for url in ADDRESSES:
            for method in ("get", "put", "patch"):
                response = getattr(self.client_class(), method)(url)
                self.assertProblem(response, 401, "not_authenticated")


class ChangingTogether(RaceTestCase):
    def test_changes_of_different_fields_all_last(self):
        customer = make_customer()
        client = self.signed_in(customer)
        changes = [
            {"first_name": "Clara"},
            {"last_name": "Client"},
            {"phone_number": "555 0100"},
            {"address": "Here"},
            {"date_of_birth": "1990-01-01"},
        ]
        for _ in range(self.rounds):
            User.objects.update(first_name="Carla", last_name="Customer")
            UserProfile.objects.update(phone_number="", address="", date_of_birth=None)
            responses = self.together(
                *[lambda change=change: client.patch(URL, change) for change in changes]
            )
            self.assertEqual({response.status_code for response in responses}, {200})
            answer = client.get(URL).json()
            for change in changes:
                self.assertLessEqual(change.items(), answer.items())

    def test_a_change_does_not_undo_a_deactivation(self):
        for _ in range(self.rounds):
            customer = make_customer()
            client = self.signed_in(customer)

            def deactivate(pk=customer.pk):
                User.objects.filter(pk=pk).update(is_active=False)

            def rename(client=client):
                return client.patch(URL, {"first_name": "Clara"})

            _, response = self.together(deactivate, rename)
            self.assertIn(response.status_code, (200, 401, 409))
            self.assertFalse(User.objects.get(pk=customer.pk).is_active)
            customer.delete()
