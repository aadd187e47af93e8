from apps.authentication import services
from apps.authentication.models import Session
from apps.users.tests.factories import make_customer, make_other_customer
from tests.support.cases import ApiTestCase

URL = "/api/auth/logout/"


class SigningOut(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.tokens = services.open_session(user=self.customer)
        self.elsewhere = services.open_session(user=self.customer)
        self.api.credentials(HTTP_AUTHORIZATION=f"Bearer {self.tokens.access}")

    def works(self, tokens):
        """Whether each of the two tokens works."""
        accepted = []
        for token in (tokens.access, tokens.refresh):
            response = self.client_class().post("/api/auth/token/verify/", {"token": token})
            accepted.append(response.status_code == 200)
        self.assertEqual(accepted[0], accepted[1])
        return accepted[0]

    def test_it_ends_the_session_of_the_refresh_token(self):
        response = self.api.post(URL, {"refresh": self.tokens.refresh})
        self.assertEqual(response.status_code, 200, response.content)
        self.assertFalse(self.works(self.tokens))
        self.assertTrue(self.works(self.elsewhere))
        self.assertProblem(self.api.get("/api/users/profile/"), 401, "token_invalid")

    def test_without_a_refresh_token_it_ends_the_session_that_asks(self):
        self.assertEqual(self.api.post(URL).status_code, 200)
        self.assertFalse(self.works(self.tokens))
        self.assertTrue(self.works(self.elsewhere))

    def test_it_ends_another_session_of_ones_own(self):
        self.assertEqual(self.api.post(URL, {"refresh": self.elsewhere.refresh}).status_code, 200)
        self.assertTrue(self.works(self.tokens))
        self.assertFalse(self.works(self.elsewhere))

    def test_it_ends_a_session_that_has_ended_once_more(self):
        services.revoke_own_session_by_token(user=self.customer, refresh=self.elsewhere.refresh)
        ended = Session.objects.exclude(ended_at=None).get().ended_at
        self.assertEqual(self.api.post(URL, {"refresh": self.elsewhere.refresh}).status_code, 200)
        self.assertEqual(Session.objects.exclude(ended_at=None).get().ended_at, ended)

    def test_everywhere_ends_all_ones_sessions_and_no_one_elses(self):
        other = services.open_session(user=make_other_customer())
        self.assertEqual(self.api.post(URL, {"everywhere": True}).status_code, 200)
        self.assertFalse(self.works(self.tokens) or self.works(self.elsewhere))
        self.assertTrue(self.works(other))

    def test_it_refuses_the_token_of_someone_else(self):
        other = services.open_session(user=make_other_customer())
        for token in (other.refresh, "garbage", self.tokens.access, "x" * 100_000):
            with self.subTest(token[:10]):
                document = self.assertProblem(self.api.post(URL, {"refresh": token}), 400, "validation_error")
                self.assertEqual(document["errors"]["refresh"][0]["code"], "token_invalid")
        self.assertTrue(self.works(other) and self.works(self.tokens))

    def test_it_needs_a_signed_in_user(self):
        response = self.client_class().post(URL, {"refresh": self.tokens.refresh})
        self.assertProblem(response, 401, "not_authenticated")
        self.assertTrue(self.works(self.tokens))
