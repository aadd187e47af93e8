"""Health, version, the API's description, and errors that no view makes."""

from unittest.mock import patch

from django.conf import settings
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client as Browser
from django.test import RequestFactory, override_settings
from django.urls import path

from apps.core import health
from apps.core.errors import UnavailableError
from apps.core.middleware import RequestIdMiddleware
from apps.core.startup import log_configuration
from apps.users.tests.factories import make_customer, make_staff
from tests.support.cases import ApiTestCase, Client


class UtilityTests(ApiTestCase):
    def test_health_says_exactly_this_and_touches_nothing(self):
        with self.assertQueries(0):
            response = self.api.get("/api/health/")
        self.assertEqual(response.json(), {"status": "healthy", "django": "running"})
        self.assertEqual(response.status_code, 200)

    def test_the_index_leads_to_the_description_and_touches_nothing(self):
        with self.assertQueries(0):
            response = self.api.get("/api/", headers={"Host": "127.0.0.1:8000"})
        self.assertEqual(response.status_code, 200)
        self.assertEqual(self.api.get("/api").headers["Location"], "/api/")
        self.assertEqual(
            response.json(),
            {
                "name": "Voucher App API",
                "version": settings.VERSION,
                "docs": "http://127.0.0.1:8000/api/docs/",
                "schema": "http://127.0.0.1:8000/api/schema/",
                "health": "http://127.0.0.1:8000/api/health/",
            },
        )

    def test_ready_names_each_dependency(self):
        response = self.api.get("/api/health/ready/")
        self.assertEqual(response.status_code, 200, response.content)
        self.assertEqual(
            response.json()["checks"].keys(),
            {"database", "migrations", "time_limits", "media", "cache", "broker", "worker", "beat"},
        )
        self.assertEqual(response.json()["checks"]["database"], "ok")
        self.assertEqual(response.json()["checks"]["time_limits"], "ok")

    @override_settings(TRUSTED_PROXY_COUNT=2)
    def test_ready_shows_to_staff_alone_whom_the_limits_take_them_for(self):
        forwarded = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7, 104.22.17.40"}
        in_admin = Client()
        in_admin.force_login(make_staff(email="admin@example.com"))
        for staff in (self.signed_in(make_staff()), in_admin):
            client = staff.get("/api/health/ready/", headers=forwarded).json()["client"]
            self.assertEqual(
                client,
                {
                    "network": "203.0.113.7",
                    "connection": "127.0.0.1",
                    "x_forwarded_for": "198.51.100.1, 203.0.113.7, 104.22.17.40",
                    "trusted_proxy_count": 2,
                },
            )
        bad = Client()
        bad.credentials(HTTP_AUTHORIZATION="Bearer nonsense")
        for other in (self.api, self.signed_in(make_customer()), bad):
            response = other.get("/api/health/ready/", headers=forwarded)
            self.assertEqual((response.status_code, "client" in response.json()), (200, False))

    def test_an_admin_whose_session_is_renewed_by_a_look_at_ready_gets_the_new_one(self):
        in_admin = Client()
        with override_settings(SECRET_KEY="the key before"):
            in_admin.force_login(make_staff())
        before = in_admin.cookies["sessionid"].value
        with override_settings(SECRET_KEY="the key after", SECRET_KEY_FALLBACKS=["the key before"]):
            response = in_admin.get("/api/health/ready/")
            self.assertIn("Cookie", response["Vary"])
            self.assertIn("client", response.json())
            self.assertNotEqual(in_admin.cookies["sessionid"].value, before)
            self.assertIn("client", in_admin.get("/api/health/ready/").json())

    def test_the_start_says_whom_the_limits_take_for_a_client_and_what_is_unsafe(self):
        live = {"STRIPE_SECRET_KEY": "sk_live_0123456789AbCdEf", "ALLOWED_HOSTS": ["vouchers.example.org"]}
        with (
            override_settings(TRUSTED_PROXY_COUNT=2, DEBUG=True, **live),
            self.assertLogs("apps.core.startup", "INFO") as logged,
        ):
            log_configuration()
        self.assertIn("TRUSTED_PROXY_COUNT is 2", logged.output[0])
        self.assertIn("WARNING:apps.core.startup:DEBUG is on with a live Stripe key", logged.output[1])
        with self.assertLogs("apps.core.startup", "INFO") as logged:
            log_configuration()
        self.assertIn("the address of its connection", "".join(logged.output))
        self.assertEqual(len(logged.output), 1)

    def test_not_ready_is_503_with_what_is_missing(self):
        with patch.object(health, "migrations", return_value="pending"):
            response = self.api.get("/api/health/ready/")
        self.assertEqual(self.assertProblem(response, 503, "not_ready")["checks"]["migrations"], "pending")

    def test_a_database_that_is_away_is_not_ready(self):
        with patch.object(health, "database", side_effect=OperationalError):
            response = self.api.get("/api/health/ready/")
        self.assertEqual(self.assertProblem(response, 503, "not_ready")["checks"]["database"], "failed")

    def test_without_redis_it_is_ready_and_says_what_is_degraded(self):
        away = "redis://127.0.0.1:1/0"
        with override_settings(REDIS_URL=away, CELERY_BROKER_URL=away):
            response = self.api.get("/api/health/ready/")
        self.assertEqual(response.status_code, 200, response.content)
        self.assertEqual(
            response.json(),
            {
                "status": "ready",
                "checks": {
                    "database": "ok",
                    "migrations": "ok",
                    "time_limits": "ok",
                    "media": "ok",
                    "cache": "degraded",
                    "broker": "degraded",
                    "worker": "degraded",
                    "beat": "degraded",
                },
            },
        )

    def test_test_says_the_version(self):
        self.assertEqual(
            self.api.get("/api/test/").json(), {"message": "API is working!", "version": settings.VERSION}
        )

    def test_the_documentation_is_served_without_other_hosts(self):
        page = self.api.get("/api/docs/").content.decode()
        self.assertIn("swagger", page)
        self.assertNotIn("https://", page)
        self.assertNotIn("//cdn", page)


FORM = "application/x-www-form-urlencoded"


def explode(request):
    raise RuntimeError("secret insides")


def away(request):
    raise OperationalError("could not connect to server: secret host")


def unavailable(request):
    raise UnavailableError


urlpatterns = [path("api/explode/", explode), path("api/away/", away), path("api/unavailable/", unavailable)]
handler404 = "apps.core.views.no_such_address"
handler500 = "apps.core.views.server_error"


class ErrorTests(ApiTestCase):
    def test_unknown_addresses_are_problem_documents(self):
        for address in ("/api/nothing", "/api/nothing/", "/api/vouchers/", "/api/%00/", "/api/health/x"):
            self.assertProblem(self.api.get(address), 404, "not_found")

    def test_outside_the_api_they_are_pages(self):
        response = self.api.get("/nothing/")
        self.assertEqual((response.status_code, response.headers["Content-Type"][:9]), (404, "text/html"))

    def test_wrong_methods_are_problem_documents_that_name_the_right_ones(self):
        response = self.api.delete("/api/vouchers/types/")
        self.assertProblem(response, 405, "method_not_allowed")
        self.assertIn("GET", response.headers["Allow"])

    def test_an_error_that_quotes_what_was_sent_tells_no_code(self):
        api = self.signed_in(make_staff())
        for response in (
            api.post("/api/vouchers/redeem/", {"2J39-NEH6-R3TU-N3J8": 1}),
            api.get("/api/vouchers/my-vouchers/?status=2J39-NEH6-R3TU-N3J8"),
        ):
            document = self.assertProblem(response, 400, "validation_error")
            self.assertIn("***N3J8", str(document["errors"]))
            self.assertNotIn("NEH6", str(document))

    def test_every_answer_has_a_request_id_taken_or_made(self):
        self.assertEqual(
            self.api.get("/api/health/", headers={"X-Request-ID": "abc-1"})["X-Request-ID"], "abc-1"
        )
        for bad in ("x" * 65, "a b", 'a"b'):
            request_id = self.api.get("/api/health/", headers={"X-Request-ID": bad})["X-Request-ID"]
            self.assertRegex(request_id, r"^[0-9a-f]{32}$")

    @override_settings(ROOT_URLCONF=__name__)
    def test_an_accident_of_ours_tells_nothing(self):
        with self.assertLogs("django.request", "ERROR"):
            response = self.api.get("/api/explode/")
        self.assertProblem(response, 500, "server_error")
        self.assertNotIn("secret", response.content.decode())

    @override_settings(ROOT_URLCONF=__name__)
    def test_a_database_that_is_away_is_503_with_retry_after(self):
        for address in ("/api/away/", "/api/unavailable/"):
            response = self.api.get(address)
            self.assertProblem(response, 503, "service_unavailable")
            self.assertGreater(int(response.headers["Retry-After"]), 0)
            self.assertNotIn("secret", response.content.decode())

    def test_a_page_while_the_database_is_away_is_a_plain_503(self):
        browser = Browser(raise_request_exception=False)
        browser.force_login(make_staff())
        away = patch(
            "django.db.backends.base.base.BaseDatabaseWrapper.cursor", side_effect=OperationalError("secret")
        )
        for method, address in (
            ("GET", "/admin/"),
            ("GET", "/admin/vouchers/voucher/"),
            ("POST", "/admin/login/"),
            ("POST", "/admin/logout/"),
        ):
            with self.subTest(address, method=method), away:
                response = browser.generic(method, address, "username=a%40b.c&password=x", FORM)
                self.assertEqual(response.status_code, 503)
                self.assertEqual(response["Content-Type"], "text/plain; charset=utf-8")
                self.assertGreater(int(response["Retry-After"]), 0)
                self.assertNotIn("secret", response.content.decode())
        self.assertEqual(browser.get("/admin/").status_code, 200)

    def test_a_post_without_the_slash_is_not_found_and_a_get_is_sent_on(self):
        with override_settings(DEBUG=True):
            self.assertProblem(self.api.post("/api/vouchers/redeem", {"code": "x"}), 404, "not_found")
        response = self.api.get("/api/vouchers/types")
        self.assertEqual((response.status_code, response.headers["Location"]), (301, "/api/vouchers/types/"))

    def test_a_host_that_is_not_ours_is_refused_as_a_problem_also_over_plain_http(self):
        for redirect in (False, True):
            with (
                override_settings(SECURE_SSL_REDIRECT=redirect, ALLOWED_HOSTS=["api.example.com"]),
                self.assertLogs("apps.core.hosts", "WARNING") as logged,
            ):
                response = self.api.get("/api/vouchers/types/", headers={"Host": "evil.example"})
            self.assertProblem(response, 400, "bad_request")
            self.assertIn("'evil.example' refused: it is not in ALLOWED_HOSTS", logged.output[0])
            self.assertEqual(len(logged.output), 1)

    def test_health_checks_answer_by_whatever_host(self):
        for ours in (["api.example.com"], [".example.com"]):
            for redirect in (False, True):
                with override_settings(SECURE_SSL_REDIRECT=redirect, ALLOWED_HOSTS=ours):
                    for address in ("/api/health/", "/api/health/ready/"):
                        response = self.api.get(address, headers={"Host": "10.1.2.3:8000"})
                        self.assertEqual(response.status_code, 200, response.content)

    def test_the_description_answers_problems_as_json_too(self):
        for address in ("/api/schema/", "/api/docs/"):
            self.assertProblem(self.api.post(address, {}), 405, "method_not_allowed")

    def test_health_is_not_sent_to_https_and_the_rest_is(self):
        with override_settings(SECURE_SSL_REDIRECT=True):
            self.assertEqual(self.api.get("/api/health/").status_code, 200)
            self.assertEqual(self.api.get("/api/health/ready/").status_code, 200)
            response = self.api.get("/api/vouchers/types/")
        self.assertEqual(response.status_code, 301)
        self.assertTrue(response.headers["Location"].startswith("https://"))

    def test_private_answers_are_not_for_shared_caches(self):
        staff = self.signed_in(make_staff())
        self.assertEqual(staff.get("/api/vouchers/my-vouchers/")["Cache-Control"], "private, no-cache")
        self.assertEqual(staff.post("/api/auth/logout/", {})["Cache-Control"], "no-store")
        self.assertIn("public", self.api.get("/api/vouchers/types/")["Cache-Control"])

    def test_an_answer_to_head_has_the_headers_and_no_body(self):
        # Not by the test client, which drops the body of any server that forgets to.
        response = RequestIdMiddleware(lambda request: HttpResponse(b"12345"))(RequestFactory().head("/"))
        self.assertEqual((response.content, response["Content-Length"]), (b"", "5"))

    def test_a_body_in_chunks_is_refused_rather_than_read_as_none(self):
        response = self.api.post("/api/auth/login/", {}, headers={"Transfer-Encoding": "chunked"})
        self.assertProblem(response, 411, "length_required")

    def test_a_body_announced_as_too_large_is_refused_unread(self):
        response = self.api.post("/api/auth/login/", {"email": "x" * 300_000})
        self.assertProblem(response, 413, "body_too_large")

    def test_named_origins_may_send_credentials(self):
        with override_settings(CORS_ALLOWED_ORIGINS=["https://app.example.com"]):
            response = self.api.get("/api/vouchers/types/", headers={"Origin": "https://app.example.com"})
        self.assertEqual(response["Access-Control-Allow-Origin"], "https://app.example.com")
        self.assertEqual(response["Access-Control-Allow-Credentials"], "true")
        self.assertIn("Retry-After", response["Access-Control-Expose-Headers"])

    def test_an_answer_for_everybody_is_kept_apart_by_origin_whether_or_not_one_was_named(self):
        origin = "https://app.example.com"
        with override_settings(CORS_ALLOWED_ORIGINS=[origin]):
            named = self.api.get("/api/vouchers/types/", headers={"Origin": origin})
            unnamed = self.api.get("/api/vouchers/types/")
        self.assertEqual([each["Vary"].lower() for each in (named, unnamed)], ["origin", "origin"])
        self.assertNotIn("Access-Control-Allow-Origin", unnamed)
        self.assertEqual(named["ETag"], unnamed["ETag"])

    def test_a_page_of_a_named_origin_may_send_what_its_libraries_add_and_read_what_clients_need(self):
        origin = {"Origin": "https://app.example.com"}
        sent = (
            "accept authorization content-type idempotency-key x-csrftoken x-request-id traceparent tracestate"
            " sentry-trace baggage if-none-match cache-control x-requested-with"
        ).split()
        with override_settings(CORS_ALLOWED_ORIGINS=["https://app.example.com"]):
            preflight = self.api.options(
                "/api/vouchers/redeem/", headers=origin | {"Access-Control-Request-Method": "POST"}
            )
            answer = self.api.get("/api/vouchers/types/", headers=origin)
        allowed = preflight["Access-Control-Allow-Headers"].split(", ")
        self.assertLessEqual(set(sent), set(allowed))
        self.assertLessEqual(
            {"ETag", "Retry-After", "X-Request-ID", "Idempotent-Replayed", "Content-Disposition"},
            set(answer["Access-Control-Expose-Headers"].split(", ")),
        )

    def test_a_preflight_from_an_unknown_origin_gets_no_permission(self):
        response = self.api.options(
            "/api/vouchers/types/",
            headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"},
        )
        self.assertNotIn("Access-Control-Allow-Origin", response.headers)
