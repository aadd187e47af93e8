"""Health, version, the API's description, and errors that no view makes."""

from unittest.mock import patch

from django.db import OperationalError
from django.test import override_settings
from django.urls import path

from apps.core import selectors
from apps.core.errors import UnavailableError
from tests.support.cases import ApiTestCase


class UtilityTests(ApiTestCase):
    def test_health_says_exactly_this_and_touches_nothing(self):
        with self.assertQueries(0):
            response = self.api.get("/api/health/")
        self.assertEqual(response.json(), {"status": "healthy", "django": "running"})
        self.assertEqual(response.status_code, 200)

    def test_ready_names_each_dependency(self):
        response = self.api.get("/api/health/ready/")
        self.assertEqual(response.status_code, 200, response.content)
        self.assertEqual(response.json()["checks"].keys(), {"database", "migrations", "cache", "broker"})
        self.assertEqual(response.json()["checks"]["database"], "ok")

    def test_not_ready_is_503_with_what_is_missing(self):
        with patch.object(selectors, "_migrations", return_value="pending"):
            response = self.api.get("/api/health/ready/")
        self.assertEqual(self.assertProblem(response, 503, "not_ready")["checks"]["migrations"], "pending")
        with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
            response = self.api.get("/api/health/ready/")
        self.assertEqual(self.assertProblem(response, 503, "not_ready")["checks"]["cache"], "failed")

    def test_test_says_the_version(self):
        self.assertEqual(
            self.api.get("/api/test/").json(), {"message": "API is working!", "version": "1.0.0"}
        )

    def test_the_documentation_is_served_without_other_hosts(self):
        page = self.api.get("/api/docs/").content.decode()
        self.assertIn("swagger", page)
        self.assertNotIn("https://", page)
        self.assertNotIn("//cdn", page)


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
        for address in ("/api/", "/api", "/api/nothing/", "/api/vouchers/", "/api/%00/", "/api/health/x"):
            self.assertProblem(self.api.get(address), 404, "not_found")

    def test_outside_the_api_they_are_pages(self):
        response = self.api.get("/nothing/")
        self.assertEqual((response.status_code, response.headers["Content-Type"][:9]), (404, "text/html"))

    def test_wrong_methods_are_problem_documents_that_name_the_right_ones(self):
        response = self.api.delete("/api/vouchers/types/")
        self.assertProblem(response, 405, "method_not_allowed")
        self.assertIn("GET", response.headers["Allow"])

    def test_every_answer_has_a_request_id_taken_or_made(self):
        self.assertEqual(
            self.api.get("/api/health/", headers={"X-Request-ID": "abc-1"})["X-Request-ID"], "abc-1"
        )
        for bad in ("x" * 65, "a b", 'a"b'):
            made = self.api.get("/api/health/", headers={"X-Request-ID": bad})["X-Request-ID"]
            self.assertRegex(made, r"^[0-9a-f]{32}$")

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

    def test_a_preflight_from_an_unknown_origin_gets_no_permission(self):
        response = self.api.options(
            "/api/vouchers/types/",
            headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"},
        )
        self.assertNotIn("Access-Control-Allow-Origin", response.headers)
