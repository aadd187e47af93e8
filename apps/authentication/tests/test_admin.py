from apps.authentication import services
from apps.authentication.models import Session
from apps.users.tests.factories import make_customer, make_staff, make_user
from tests.support.cases import ApiTestCase

LIST = "/admin/authentication/session/"


class SessionsInTheAdmin(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.tokens = services.open_session(user=self.customer)
        self.session = Session.objects.get()
        self.client.force_login(make_staff())

    def test_staff_see_them_without_what_would_forge_them(self):
        for url in (LIST, f"{LIST}?q=carla", f"{LIST}{self.session.pk}/change/"):
            response = self.client.get(url)
            self.assertContains(response, "carla@example.com")
            self.assertNotContains(response, self.session.refresh_jti)
            self.assertNotContains(response, self.session.auth_hash)

    def test_staff_can_end_them(self):
        body = {"action": "end", "_selected_action": [str(self.session.pk)]}
        response = self.client.post(LIST, body, format="multipart")
        self.assertEqual(response.status_code, 302)
        self.assertIsNotNone(Session.objects.get().ended_at)
        profile = self.api.get("/api/users/profile/", HTTP_AUTHORIZATION=f"Bearer {self.tokens.access}")
        self.assertEqual(profile.status_code, 401)

    def test_nobody_can_add_change_or_delete_them(self):
        self.assertEqual(self.client.get(f"{LIST}add/").status_code, 403)
        self.assertEqual(self.client.get(f"{LIST}{self.session.pk}/delete/").status_code, 403)
        self.assertEqual(self.client.post(f"{LIST}{self.session.pk}/change/", {}).status_code, 403)

    def test_staff_without_the_right_can_not_end_them(self):
        self.client.force_login(make_user(is_staff=True))
        body = {"action": "end", "_selected_action": [str(self.session.pk)]}
        self.assertEqual(self.client.post(LIST, body, format="multipart").status_code, 403)
        self.assertIsNone(Session.objects.get().ended_at)
