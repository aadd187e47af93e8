"""Whose a request is to the limits: the network that it comes from, and the limit on requests as such."""

from django.test import RequestFactory, SimpleTestCase, override_settings

from apps.core import rate_limits
from apps.core.rate_limits import Refuses
from apps.users.tests.factories import make_customer
from tests.support.cases import ApiTestCase


class NetworkTests(SimpleTestCase):
    def test_an_ipv6_network_counts_in_the_48_around_it_too(self):
        def counters(address):
            request = RequestFactory().get("/", REMOTE_ADDR=address)
            counters_of_network = rate_limits.per_network(
                "LIMIT_REGISTER", request, "x", refuses=Refuses.REPEATERS
            )
            return [(counter.who, counter.refuses, counter.rate[0]) for counter in counters_of_network]

        repeaters = Refuses.REPEATERS
        with override_settings(LIMIT_REGISTER=(3, 600), LIMIT_WIDE_NETWORK_TIMES=4):
            self.assertEqual(counters("192.0.2.1"), [("192.0.2.1 x", repeaters, 3)])
            self.assertEqual(
                counters("2001:db8:1:2:3::4"),
                [("2001:db8:1:2::/64 x", repeaters, 3), ("2001:db8:1::/48 x", repeaters, 12)],
            )
            self.assertEqual(counters(""), [("x", repeaters, 3)])

    def network(self, address="192.0.2.1", forwarded=None, proxies=0):
        headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
        with override_settings(TRUSTED_PROXY_COUNT=proxies):
            return rate_limits.client_network(RequestFactory().get("/", REMOTE_ADDR=address, **headers))

    def test_without_proxies_it_is_the_connection_whatever_the_header_says(self):
        for forwarded in (None, "", "203.0.113.7", "203.0.113.7, 198.51.100.1"):
            self.assertEqual(self.network(forwarded=forwarded), "192.0.2.1")

    def test_behind_proxies_it_is_what_the_outermost_of_ours_saw(self):
        forged = "10.0.0.1, 10.0.0.2, 203.0.113.7, 198.51.100.1"
        self.assertEqual(self.network(forwarded=forged, proxies=1), "198.51.100.1")
        self.assertEqual(self.network(forwarded=forged, proxies=2), "203.0.113.7")
        self.assertEqual(self.network(forwarded="203.0.113.7", proxies=1), "203.0.113.7")

    def test_a_header_that_is_too_short_or_no_address_leaves_the_connection(self):
        for forwarded, proxies in (
            (None, 1),
            ("", 1),
            ("203.0.113.7", 2),
            ("unknown", 1),
            ("203.0.113.7, ", 1),
            ("203.0.113.7, <b>", 1),
            ("999.0.0.1", 1),
            ("x" * 100_000, 1),
        ):
            with self.subTest(forwarded and forwarded[:30], proxies=proxies):
                self.assertEqual(self.network(forwarded=forwarded, proxies=proxies), "192.0.2.1")

    def test_an_address_may_be_written_in_several_ways(self):
        for written, network in (
            ("203.0.113.7:51234", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("[::ffff:203.0.113.7]:443", "203.0.113.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
            ("[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"),
            ("fe80::1%eth0", "fe80::/64"),
        ):
            with self.subTest(written):
                self.assertEqual(self.network(forwarded=written, proxies=1), network)

    def test_a_server_on_a_socket_file_knows_no_address(self):
        self.assertEqual(self.network(address=""), "")


@override_settings(
    RATE_LIMITS_ENABLED=True, LIMIT_REQUESTS_PER_USER=(3, 60), LIMIT_REQUESTS_PER_NETWORK=(4, 60)
)
class RequestTests(ApiTestCase):
    def assertLimited(self, response):
        self.assertProblem(response, 429, "rate_limited")
        self.assertTrue(1 <= int(response["Retry-After"]) <= 60)

    def test_a_user_has_so_many_requests_from_wherever_they_come(self):
        carla, otto = self.signed_in(make_customer()), self.signed_in(make_customer(email="otto@example.com"))
        for number in range(3):
            self.assertEqual(
                carla.get("/api/users/profile/", REMOTE_ADDR=f"192.0.2.{number}").status_code, 200
            )
        for path in ("/api/users/profile/", "/api/vouchers/my-vouchers/"):
            self.assertLimited(carla.get(path))
        self.assertEqual(otto.get("/api/users/profile/").status_code, 200)

    def test_a_network_has_so_many_public_requests(self):
        for _ in range(4):
            self.assertEqual(self.api.get("/api/vouchers/types/").status_code, 200)
        for path in ("/api/vouchers/types/", "/api/test/", "/api/schema/"):
            self.assertLimited(self.api.get(path))
        self.assertEqual(self.api.get("/api/test/", REMOTE_ADDR="192.0.2.9").status_code, 200)
        self.assertEqual(self.signed_in(make_customer()).get("/api/users/profile/").status_code, 200)

    def test_a_refusal_costs_no_more_queries_than_knowing_who_asks(self):
        carla = self.signed_in(make_customer())
        with override_settings(LIMIT_REQUESTS_PER_USER=(1, 60)):
            carla.get("/api/users/profile/")
            with self.assertQueries(1):
                self.assertLimited(carla.get("/api/users/profile/"))

    def test_health_checks_and_the_webhook_are_never_refused(self):
        for _ in range(10):
            for path in ("/api/health/", "/api/health/ready/"):
                self.assertNotEqual(self.api.get(path).status_code, 429)
            self.assertProblem(self.api.post("/api/payments/webhook/", {}), 400, "signature_invalid")

    def test_the_schema_says_where_it_may_happen(self):
        paths = self.api.get("/api/schema/", HTTP_ACCEPT="application/vnd.oai.openapi+json").json()["paths"]
        for path, item in paths.items():
            for method, operation in item.items():
                with self.subTest(f"{method} {path}"):
                    self.assertEqual("429" in operation["responses"], not path.startswith("/api/health/"))
