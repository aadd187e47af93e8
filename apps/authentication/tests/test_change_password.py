from post_office.models import Email

from apps.authentication import services
from apps.authentication.models import Session
from apps.users.models import User
from apps.users.tests.factories import PASSWORD, make_customer, make_other_customer
from tests.support.cases import ApiTestCase, RaceTestCase

URL = "/api/users/change-password/"
NEW = "an entirely new password"
BODY = {"old_password": PASSWORD, "new_password": NEW, "confirm_password": NEW}


class ChangingOnesPassword(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.elsewhere = services.open_session(user=self.customer)
        self.api = self.signed_in(self.customer)

    def status(self, access):
        client = self.client_class()
        return client.get("/api/users/profile/", HTTP_AUTHORIZATION=f"Bearer {access}").status_code

    def refused(self, **body):
        document = self.assertProblem(self.api.post(URL, {**BODY, **body}), 400, "validation_error")
        self.assertTrue(User.objects.get(pk=self.customer.pk).check_password(PASSWORD))
        self.assertEqual(Session.objects.filter(ended_at=None).count(), 2)
        self.assertEqual(self.status(self.elsewhere.access), 200)
        return {name: [error["code"] for error in errors] for name, errors in document["errors"].items()}

    def test_it_ends_every_session_and_opens_a_new_one(self):
        stranger = services.open_session(user=make_other_customer())
        response = self.api.post(URL, BODY)
        self.assertEqual(response.status_code, 200, response.content)
        answer = response.json()
        self.assertEqual(answer.keys(), {"message", "access", "refresh"})
        self.assertTrue(User.objects.get(pk=self.customer.pk).check_password(NEW))
        self.assertEqual(self.status(answer["access"]), 200)
        self.assertEqual(self.status(self.elsewhere.access), 401)
        self.assertEqual(self.api.get("/api/users/profile/").status_code, 401)
        self.assertEqual(self.status(stranger.access), 200)
        refresh = self.client_class().post("/api/auth/token/refresh/", {"refresh": answer["refresh"]})
        self.assertEqual(refresh.status_code, 200)
        live = Session.objects.filter(user=self.customer, ended_at=None)
        self.assertEqual(live.count(), 1)

    def test_the_person_gets_a_mail_about_it_in_their_language(self):
        for language, subject in (
            ("fr", "Votre mot de passe a été modifié"),
            ("en", "Your password was changed"),
        ):
            with self.subTest(language):
                User.objects.filter(pk=self.customer.pk).update(
                    language=language, password=self.customer.password
                )
                api = self.signed_in(User.objects.get(pk=self.customer.pk))
                api.post(URL, {**BODY, "old_password": "wrong"})
                self.assertFalse(Email.objects.exists())
                self.assertEqual(api.post(URL, BODY).status_code, 200)
                mail = Email.objects.get()
                self.assertEqual((mail.to, mail.subject), ([self.customer.email], subject))
                self.assertNotIn(NEW, mail.message)
                mail.delete()

    def test_from_then_on_only_the_new_password_signs_in(self):
        self.api.post(URL, BODY)
        for password, status in ((PASSWORD, 401), (NEW, 200)):
            body = {"email": "carla@example.com", "password": password}
            self.assertEqual(self.client_class().post("/api/auth/login/", body).status_code, status)

    def test_it_refuses_a_wrong_old_password(self):
        self.assertEqual(self.refused(old_password="wrong"), {"old_password": ["password_incorrect"]})

    def test_it_refuses_a_weak_new_password(self):
        errors = self.refused(new_password="12345678", confirm_password="12345678")
        self.assertEqual(errors.keys(), {"new_password"})
        self.assertIn("password_too_short", errors["new_password"])
        similar = self.refused(new_password="carla@example.com", confirm_password="carla@example.com")
        self.assertEqual(similar, {"new_password": ["password_too_similar"]})

    def test_it_refuses_two_new_passwords_that_differ(self):
        self.assertEqual(
            self.refused(confirm_password="another"), {"confirm_password": ["password_mismatch"]}
        )

    def test_it_refuses_an_endless_password_unread(self):
        for name in BODY:
            self.assertIn("max_length", self.refused(**{name: "x" * 10_000})[name])

    def test_it_needs_a_signed_in_user(self):
        self.assertProblem(self.client_class().post(URL, BODY), 401, "not_authenticated")


class ChangingOnesPasswordTogether(RaceTestCase):
    def test_of_two_changes_at_once_one_wins_and_only_its_session_lives(self):
        for number in range(3):
            customer = make_customer(email=f"race{number}@example.com")
            clients = [self.signed_in(customer) for _ in range(6)]
            passwords = [f"an entirely new password {n}" for n in range(6)]

            def call(client, password):
                body = {"old_password": PASSWORD, "new_password": password, "confirm_password": password}
                return client.post(URL, body)

            pairs = list(zip(clients, passwords, strict=True))
            responses = self.together(*[lambda pair=pair: call(*pair) for pair in pairs])
            won = [n for n, response in enumerate(responses) if response.status_code == 200]
            self.assertEqual(len(won), 1, [response.content for response in responses])
            for response in responses:
                self.assertIn(response.status_code, (200, 400, 401))
            self.assertTrue(User.objects.get(pk=customer.pk).check_password(passwords[won[0]]))
            self.assertEqual(Session.objects.filter(user=customer, ended_at=None).count(), 1)
            access = responses[won[0]].json()["access"]
            profile = self.client_class().get("/api/users/profile/", HTTP_AUTHORIZATION=f"Bearer {access}")
            self.assertEqual(profile.status_code, 200)
