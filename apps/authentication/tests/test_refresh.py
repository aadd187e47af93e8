import datetime
import time
from unittest import mock

import time_machine
from django.utils import timezone

from apps.authentication import selectors, services, tokens
from apps.authentication.errors import TokenInvalid
from apps.authentication.models import Session
from apps.users.models import User
from apps.users.tests.factories import make_customer
from tests.support.cases import ApiTestCase, RaceTestCase

URL = "/api/auth/token/refresh/"
OLDER_URL = "/api/auth/refresh/"
PROFILE = "/api/users/profile/"


class RefreshTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.customer = make_customer()
        self.tokens = services.open_session(user=self.customer)

    def refresh(self, token, url=URL):
        return self.api.post(url, {"refresh": token})

    def later(self, seconds):
        return time_machine.travel(timezone.now() + datetime.timedelta(seconds=seconds), tick=False)

    def profile_status(self, access):
        return self.api.get(PROFILE, HTTP_AUTHORIZATION=f"Bearer {access}").status_code

    def assertEnded(self):
        self.assertIsNotNone(Session.objects.get().ended_at)


class Refreshing(RefreshTestCase):
    def test_it_gives_a_new_pair_that_works(self):
        response = self.refresh(self.tokens.refresh)
        self.assertEqual(response.status_code, 200, response.content)
        self.assertEqual(response.json().keys(), {"access", "refresh"})
        self.assertEqual(self.profile_status(response.json()["access"]), 200)
        self.assertEqual(self.refresh(response.json()["refresh"]).status_code, 200)
        self.assertEqual(Session.objects.count(), 1)

    def test_it_takes_two_queries(self):
        with self.assertQueries(2):  # the session with its user; the exchange
            self.assertEqual(self.refresh(self.tokens.refresh).status_code, 200)

    def test_a_session_lives_on_by_refreshing(self):
        start = timezone.now()
        refresh = self.tokens.refresh
        for day in (6, 12, 18):
            with time_machine.travel(start + datetime.timedelta(days=day), tick=False):
                answer = self.refresh(refresh).json()
                self.assertEqual(self.profile_status(answer["access"]), 200)
                refresh = answer["refresh"]
        self.assertGreater(Session.objects.get().expires_at, start + datetime.timedelta(days=24))

    def test_sent_again_within_thirty_seconds_it_is_answered_the_same(self):
        with time_machine.travel(timezone.now(), tick=False) as clock:
            first = self.refresh(self.tokens.refresh).json()
            for _ in range(2):
                clock.shift(15)
                again = self.refresh(self.tokens.refresh)
                self.assertEqual((again.status_code, again.json()), (200, first))
            self.assertEqual(self.profile_status(first["access"]), 200)
            self.assertEqual(self.refresh(first["refresh"]).status_code, 200)
        self.assertIsNone(Session.objects.get().ended_at)

    def test_sent_again_after_that_its_whole_family_dies(self):
        child = self.refresh(self.tokens.refresh).json()
        with self.later(31):
            self.assertEqual(self.profile_status(child["access"]), 200)
            self.assertProblem(self.refresh(self.tokens.refresh), 401, "token_invalid")
            self.assertEnded()
            self.assertProblem(self.refresh(child["refresh"]), 401, "token_invalid")
            for access in (self.tokens.access, child["access"]):
                self.assertEqual(self.profile_status(access), 401)

    def test_an_older_one_is_refused_at_once_and_its_whole_family_dies(self):
        child = self.refresh(self.tokens.refresh).json()
        grandchild = self.refresh(child["refresh"]).json()
        self.assertEqual(self.profile_status(grandchild["access"]), 200)
        self.assertProblem(self.refresh(self.tokens.refresh), 401, "token_invalid")
        self.assertEnded()
        self.assertProblem(self.refresh(child["refresh"]), 401, "token_invalid")
        self.assertProblem(self.refresh(grandchild["refresh"]), 401, "token_invalid")
        for access in (self.tokens.access, child["access"], grandchild["access"]):
            self.assertEqual(self.profile_status(access), 401)

    def test_repeating_prolongs_nothing(self):
        self.refresh(self.tokens.refresh)
        before = Session.objects.values().get()
        with self.later(20):
            self.assertEqual(self.refresh(self.tokens.refresh).status_code, 200)
        self.assertEqual(Session.objects.values().get(), before)
        with self.later(40):
            self.assertProblem(self.refresh(self.tokens.refresh), 401, "token_invalid")

    def test_what_ends_the_session_ends_repeating_too(self):
        for end in (
            lambda: services.revoke_all_sessions(user=self.customer),
            lambda: services.revoke_session_by_token(refresh=self.tokens.refresh),
            lambda: User.objects.update(is_active=False),
            lambda: User.objects.update(password="another"),
        ):
            User.objects.update(is_active=True)
            self.customer.refresh_from_db()
            self.tokens = services.open_session(user=self.customer)
            self.assertEqual(self.refresh(self.tokens.refresh).status_code, 200)
            end()
            self.assertProblem(self.refresh(self.tokens.refresh), 401, "token_invalid")

    def test_a_session_that_ends_while_its_token_is_repeated_gives_nothing(self):
        self.refresh(self.tokens.refresh)
        live_session = selectors.live_session
        looks = []

        def ended_after_the_first_look(claims):
            looks.append(claims)
            session = live_session(claims)
            if len(looks) == 1:
                services.revoke_session(user=session.user, sid=session.pk)
            return session

        with mock.patch.object(selectors, "live_session", ended_after_the_first_look):
            self.assertProblem(self.refresh(self.tokens.refresh), 401, "token_invalid")
        self.assertEqual(len(looks), 2)

    def test_other_families_live_on(self):
        other = services.open_session(user=self.customer)
        self.refresh(self.tokens.refresh)
        with self.later(31):
            self.refresh(self.tokens.refresh)
        self.assertEqual(Session.objects.exclude(ended_at=None).count(), 1)
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


class RefreshingAtTheOlderAddress(RefreshTestCase):
    """The client in the field keeps only `access` of the answer, and sends its first refresh token each time."""

    def renew(self):
        return self.refresh(self.tokens.refresh, OLDER_URL)

    def test_the_refresh_token_stays_as_it_was_sent_for_its_seven_days(self):
        before = Session.objects.values().get()
        start = timezone.now()
        accesses = set()
        for hours in (0, 1, 24, 7 * 24 - 1):
            with time_machine.travel(start + datetime.timedelta(hours=hours), tick=False):
                response = self.renew()
                self.assertEqual(response.status_code, 200, response.content)
                self.assertEqual(response.json().keys(), {"access", "refresh"})
                self.assertEqual(response.json()["refresh"], self.tokens.refresh)
                self.assertEqual(self.profile_status(response.json()["access"]), 200)
                accesses.add(response.json()["access"])
        self.assertEqual(len(accesses), 4)
        self.assertEqual(Session.objects.values().get(), before)
        with time_machine.travel(start + datetime.timedelta(days=7, seconds=31), tick=False):
            self.assertProblem(self.renew(), 401, "token_invalid")

    def test_its_session_can_be_ended_as_ever(self):
        for end in (
            lambda: self.api.post(
                "/api/auth/logout/",
                {"refresh": self.tokens.refresh},
                HTTP_AUTHORIZATION=f"Bearer {self.tokens.access}",
            ),
            lambda: services.revoke_all_sessions(user=self.customer),
            lambda: User.objects.update(is_active=False),
            lambda: User.objects.update(password="another"),
        ):
            User.objects.update(is_active=True)
            self.customer.refresh_from_db()
            self.tokens = services.open_session(user=self.customer)
            renewed = self.renew().json()["access"]
            self.assertEqual(self.profile_status(renewed), 200)
            end()
            self.assertProblem(self.renew(), 401, "token_invalid")
            self.assertEqual(self.profile_status(renewed), 401)

    def test_a_token_that_was_exchanged_at_the_newer_address_is_used_up_here_too(self):
        child = self.refresh(self.tokens.refresh).json()
        self.assertEqual(self.renew().json(), child)
        with self.later(31):
            self.assertProblem(self.renew(), 401, "token_invalid")
            self.assertEnded()
            self.assertProblem(self.refresh(child["refresh"]), 401, "token_invalid")

    def test_the_token_can_still_be_exchanged_at_the_newer_address(self):
        self.renew()
        child = self.refresh(self.tokens.refresh).json()
        self.assertNotEqual(child["refresh"], self.tokens.refresh)
        self.assertEqual(self.refresh(child["refresh"], OLDER_URL).json()["refresh"], child["refresh"])

    def test_what_is_no_refresh_token_is_refused(self):
        for token in ("garbage", self.tokens.access):
            self.assertProblem(self.refresh(token, OLDER_URL), 401, "token_invalid")
        self.assertProblem(self.api.post(OLDER_URL, {}), 400, "validation_error")


def broken_refresh(claims):
    """The twin that reads, checks and then writes, and lets each request choose a successor of its own."""
    session = Session.objects.get(id=claims.sid)
    if session.ended_at or session.refresh_jti != claims.jti:
        raise TokenInvalid
    time.sleep(0.005)
    jti = tokens.new_jti()
    pair = tokens.issue(sid=session.pk, user_id=session.user_id, jti=jti, at=timezone.now())
    session.refresh_jti = jti
    session.save(update_fields=["refresh_jti"])
    return pair


class RefreshingTogether(RaceTestCase):
    def children(self, requests):
        """What so many requests with one token get at the same instant: the statuses, and the pairs that work."""
        parent = services.open_session(user=User.objects.get()).refresh
        responses = self.together(*[lambda: self.client_class().post(URL, {"refresh": parent})] * requests)
        pairs = {tuple(response.json().values()) for response in responses if response.status_code == 200}
        usable = 0
        for access, refresh in pairs:
            signs_in = self.api.get(PROFILE, HTTP_AUTHORIZATION=f"Bearer {access}").status_code == 200
            refreshes = self.api.post(URL, {"refresh": refresh}).status_code == 200
            usable += signs_in or refreshes
        return parent, [response.status_code for response in responses], len(pairs), usable

    def test_all_requests_with_one_token_get_the_same_child_and_it_works(self):
        make_customer()
        for number in range(self.rounds):
            requests = (2, 3, 30)[number % 3]
            parent, statuses, pairs, usable = self.children(requests)
            self.assertEqual((statuses, pairs, usable), ([200] * requests, 1, 1))
            self.assertIsNone(Session.objects.latest("created_at").ended_at)
            self.assertProblem(
                self.api.post(URL, {"refresh": parent}), 401, "token_invalid"
            )  # it is an older one now
            self.assertIsNotNone(Session.objects.latest("created_at").ended_at)

    def test_control_the_oracle_catches_a_refresh_that_reads_and_then_writes(self):
        make_customer()
        with mock.patch.object(services, "refresh_session", broken_refresh):
            self.assertCaught(lambda: self.children(30)[3], lambda usable: usable > 1)

    def test_of_two_late_requests_with_a_used_token_neither_gets_anything(self):
        make_customer()
        for _ in range(self.rounds):
            parent = services.open_session(user=User.objects.get()).refresh
            child = self.api.post(URL, {"refresh": parent}).json()
            Session.objects.update(refreshed_at=timezone.now() - datetime.timedelta(seconds=31))
            calls = [lambda token=parent: self.client_class().post(URL, {"refresh": token})] * 2
            self.assertEqual([response.status_code for response in self.together(*calls)], [401, 401])
            self.assertProblem(self.api.post(URL, {"refresh": child["refresh"]}), 401, "token_invalid")

    def test_signing_out_leaves_no_child_that_works(self):
        customer = make_customer()
        for _ in range(self.rounds):
            parent = services.open_session(user=customer).refresh

            def refresh(token=parent):
                return self.client_class().post(URL, {"refresh": token})

            *responses, _ = self.together(*[refresh] * 4, lambda: services.revoke_all_sessions(user=customer))
            for response in filter(None, responses):
                if response.status_code == 200:
                    for token in response.json().values():
                        verified = self.api.post("/api/auth/token/verify/", {"token": token})
                        self.assertProblem(verified, 401, "token_invalid")
            customer.refresh_from_db()

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
