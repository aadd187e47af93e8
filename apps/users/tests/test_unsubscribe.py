"""POST /api/users/unsubscribe/: by the link in a reminder, and by a mail program's button."""

from django.test import override_settings

from apps.users import unsubscribe_links
from apps.users.models import UserProfile
from apps.users.tests.factories import make_customer, make_other_customer
from tests.support.cases import ApiTestCase

URL = "/api/users/unsubscribe/"
ONE_CLICK = "List-Unsubscribe=One-Click"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
MULTIPART_BODY = (
    '--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
)


class Unsubscribing(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.other = make_other_customer()
        self.token = unsubscribe_links.token_for(self.customer.pk)

    def wants(self, user):
        return UserProfile.objects.get(user=user).expiry_reminders

    def assertTurnedOff(self, response):
        self.assertEqual((response.status_code, response.content), (204, b""))
        self.assertFalse(self.wants(self.customer))
        self.assertTrue(self.wants(self.other))
        UserProfile.objects.update(expiry_reminders=True)

    def one_click(self, address, body=ONE_CLICK, content_type=FORM):
        return self.client_class().generic("POST", address, body, content_type=content_type)

    def test_the_web_client_posts_the_token_of_the_link(self):
        page, _, token = unsubscribe_links.unsubscribe_url(self.customer.pk).partition("#token=")
        self.assertEqual(page, "http://localhost:3000/unsubscribe")
        with self.assertQueries(1):
            response = self.api.post(URL, {"token": token})
        self.assertTurnedOff(response)

    def test_it_may_be_done_again_and_undone_in_the_profile(self):
        for _ in range(2):
            self.assertEqual(self.api.post(URL, {"token": self.token}).status_code, 204)
        profile = self.signed_in(self.customer)
        self.assertIs(profile.get("/api/users/profile/").json()["expiry_reminders"], False)
        self.assertEqual(profile.patch("/api/users/profile/", {"expiry_reminders": True}).status_code, 200)
        self.assertTrue(self.wants(self.customer))

    @override_settings(API_URL="https://api.example.com/")
    def test_mail_programs_post_to_the_address_in_the_header(self):
        headers = unsubscribe_links.list_unsubscribe_headers(self.customer.pk)
        self.assertEqual(headers["List-Unsubscribe-Post"], ONE_CLICK)
        address = headers["List-Unsubscribe"].removeprefix("<https://api.example.com").removesuffix(">")
        self.assertTrue(address.startswith(URL), address)
        self.assertTurnedOff(self.one_click(address))
        self.assertTurnedOff(self.one_click(address, MULTIPART_BODY, MULTIPART))
        self.assertTurnedOff(self.one_click(address, "", FORM))
        self.assertTurnedOff(self.one_click(URL, f"token={self.token}"))

    def test_looking_at_the_address_changes_nothing(self):
        for method in ("get", "head", "put", "patch", "delete"):
            response = getattr(self.client, method)(f"{URL}?token={self.token}")
            self.assertEqual(response.status_code, 405)
        self.assertTrue(self.wants(self.customer))

    def test_a_token_that_is_not_ours_is_refused(self):
        signature = self.token.partition(":")[2]
        for token in (
            self.token[:-1],
            self.token.upper(),
            f"{self.other.pk}:{signature}",
            f":{signature}",
            str(self.customer.pk),
            "x",
            "é:é",
            "\U0001f984",
            unsubscribe_links.token_for(self.other.pk + 1000),
        ):
            with self.subTest(token):
                self.assertProblem(self.api.post(URL, {"token": token}), 400, "unsubscribe_link_invalid")
        self.assertTrue(self.wants(self.customer) and self.wants(self.other))

    def test_without_a_token_it_says_what_is_missing(self):
        bodies: tuple[object, ...] = (
            {},
            {"token": ""},
            {"token": None},
            {"token": []},
            {"token": "x" * 201},
            [],
            "x",
        )
        for body in bodies:
            self.assertProblem(self.api.post(URL, body), 400, "validation_error")
        self.assertProblem(self.one_click(URL), 400, "validation_error")
        self.assertProblem(self.one_click(f"{URL}?token=%00"), 400, "validation_error")
        self.assertProblem(self.one_click(URL, "&".join(["a=b"] * 2000)), 413, "body_too_large")
        self.assertProblem(self.one_click(URL, "x", "text/plain"), 415, "unsupported_media_type")
        self.assertProblem(
            self.one_click(URL, "token=x", f"{FORM}; charset=utf-7"), 400, "unsubscribe_link_invalid"
        )
