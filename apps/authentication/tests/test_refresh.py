import datetime
import time
from unittest import mock

import time_machine
from django.utils import timezone

from apps.authentication import services, tokens
from apps.authentication.errors import TokenInvalid
from apps.authentication.models import Session
from apps.users.models import User
from apps.users.tests.factories import make_customer
from tests.support.cases import ApiTestCase, RaceTestCase

URL = "/api/auth/token/refresh/"
PROFILE = "/api/users/profile/"


class Refreshing(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.tokens = services.open_session(user=self.customer)

    def refresh(self, token):
        return self.api.post(URL, {"refresh": token})

    def profile_status(self, access):
        return self.api.get(PROFILE, HTTP_AUTHORIZATION=f"Bearer {access}").status_code

    def assertEnded(self):
        self.assertIsNotNone(Session.objects.get().ended_at)

    def test_it_gives_a_new_pair_that_works(self):
        response = self.refresh(self.tokens.refresh)
        self.assertEqual(response.status_code, 200, response.content)
        self.assertEqual(response.json().keys(), {"access", "refresh"})
        self.assertEqual(self.profile_status(response.json()["access"]), 200)
        self.assertEqual(self.refresh(response.json()["refresh"]).status_code, 200)
        self.assertEqual(Session.objects.count(), 1)

    def test_a_session_lives_on_by_refreshing(self):
        start = timezone.now()
        refresh = self.tokens.refresh
        for day in (6, 12, 18):
            with time_machine.travel(start + datetime.timedelta(days=day), tick=False):
                answer = self.refresh(refresh).json()
                self.assertEqual(self.profile_status(answer["access"]), 200)
                refresh = answer["refresh"]
        self.assertGreater(Session.objects.get().expires_at, start + datetime.timedelta(days=24))

    def test_a_used_token_is_refused_and_its_whole_family_dies(self):
        child = self.refresh(self.tokens.refresh).json()
        grandchild = self.refresh(child["refresh"]).json()
        self.assertEqual(self.profile_status(grandchild["access"]), 200)
        self.assertProblem(self.refresh(self.tokens.refresh), 401, "token_invalid")
        self.assertEnded()
        self.assertProblem(self.refresh(grandchild["refresh"]), 401, "token_invalid")
        for access in (self.tokens.access, child["access"], grandchild["access"]):
            self.assertEqual(self.profile_status(access), 401)

    def test_other_families_live_on(self):
        other = services.open_session(user=self.customer)
        self.refresh(self.tokens.refresh)
        self.refresh(self.tokens.refresh)
        self.assertEqual(self.profile_status(other.access), 200)
        self.assertEqual(self.refresh(other.refresh).status_code, 200)

    def test_it_refuses_a_token_past_its_seven_days(self):
        with time_machine.travel(timezone.now() + datetime.timedelta(days=7, seconds=31), tick=False):
            self.assertProblem(self.refresh(self.tokens.refresh), 401, "token_invalid")
        self.assertEqual(Session.objects.get().refresh_jti, tokens.read_refresh(self.tokens.refresh).jti)

    def test_it_refuses_an_access_token(self):
        self.assertProblem(self.refresh(self.tokens.access), 401, "token_invalid")

    def test_it_refuses_what_is_no_token(self):
        for token in ("garbage", "a.b.c", "." * 5000, "x" * 200_000, "é.ü.ß", 7, True):
            with self.subTest(str(token)[:20]):
                self.assertIn(self.refresh(token).status_code, (400, 401))
        self.assertIsNone(Session.objects.get().ended_at)

    def test_it_needs_a_token(self):
        for body in ({}, {"refresh": ""}, {"refresh": None}):
            document = self.assertProblem(self.api.post(URL, body), 400, "validation_error")
            self.assertEqual(document["errors"]["refresh"][0]["code"], "required")

    def test_a_deactivated_user_can_not(self):
        User.objects.update(is_active=False)
        self.assertProblem(self.refresh(self.tokens.refresh), 401, "token_invalid")

    def test_a_deleted_user_can_not(self):
        self.customer.delete()
        self.assertProblem(self.refresh(self.tokens.refresh), 401, "token_invalid")

    def test_a_new_password_ends_it(self):
        self.customer.set_password("an entirely new password")
        self.customer.save()
        self.assertProblem(self.refresh(self.tokens.refresh), 401, "token_invalid")

    def test_the_older_client_finds_it_at_its_old_address(self):
        self.assertEqual(
            self.api.post("/api/auth/refresh/", {"refresh": self.tokens.refresh}).status_code, 200
        )


def broken_refresh(*, refresh):
    """The twin that reads, checks and then writes."""
    claims = tokens.read_refresh(refresh)
    session = Session.objects.get(id=claims.sid)
    if session.ended_at or session.refresh_jti != claims.jti:
        raise TokenInvalid
    time.sleep(0.005)
    issued = tokens.issue(sid=session.pk, user_id=session.user_id)
    session.refresh_jti = issued.refresh_jti
    session.save(update_fields=["refresh_jti"])
    return services.Tokens(access=issued.access, refresh=issued.refresh)


class RefreshingTogether(RaceTestCase):
    def usable_children(self):
        """How many children of one token work, after thirty requests at the same instant tried to get one."""
        parent = services.open_session(user=User.objects.get()).refresh
        responses = self.together(*[lambda: self.client_class().post(URL, {"refresh": parent})] * 30)
        for response in responses:
            self.assertIn(response.status_code, (200, 401), response.content)
        children = [response.json() for response in responses if response.status_code == 200]
        usable = 0
        for child in children:
            signs_in = (
                self.api.get(PROFILE, HTTP_AUTHORIZATION=f"Bearer {child['access']}").status_code == 200
            )
            refreshes = self.api.post(URL, {"refresh": child["refresh"]}).status_code == 200
            usable += signs_in or refreshes
        return len(children), usable

    def test_of_thirty_requests_with_one_token_at_most_one_gets_a_child_that_works(self):
        make_customer()
        for _ in range(self.rounds):
            children, usable = self.usable_children()
            self.assertEqual(children, 1)
            self.assertLessEqual(usable, 1)
            self.assertIsNotNone(Session.objects.latest("created_at").ended_at)

    def test_control_the_oracle_catches_a_refresh_that_reads_and_then_writes(self):
        make_customer()
        with mock.patch.object(services, "refresh_session", broken_refresh):
            counts = [self.usable_children()[1] for _ in range(3)]
        self.assertGreater(max(counts), 1)

    def test_a_password_change_leaves_no_child_of_an_older_session(self):
        customer = make_customer()
        for number in range(self.rounds):
            before = services.open_session(user=customer)
            password = f"a new password, number {number}"

            def change(password=password):
                user = User.objects.get()
                user.set_password(password)
                user.save(update_fields=["password"])

            def refresh(token=before.refresh):
                return self.client_class().post(URL, {"refresh": token})

            response, _ = self.together(refresh, change)
            if response.status_code == 200:
                child = response.json()["access"]
                self.assertEqual(self.api.get(PROFILE, HTTP_AUTHORIZATION=f"Bearer {child}").status_code, 401)
            customer.refresh_from_db()
