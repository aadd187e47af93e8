"""Answers that are kept for everybody: what the whole application answers, for every client, as long as it holds."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

from django.conf import settings
from django.db import OperationalError
from django.db.models import F
from django.http import HttpResponse, StreamingHttpResponse
from django.test import RequestFactory, SimpleTestCase, override_settings

from apps.core import response_cache
from apps.core.api.responses import document_response
from apps.core.response_cache import ResponseCacheMiddleware
from apps.vouchers import row_queries
from apps.vouchers.models import VoucherType
from apps.vouchers.tests.factories import make_type
from tests.support.cases import ApiTestCase, Client

URL = "/api/vouchers/types/"
CACHE = "apps.core.response_cache.ResponseCacheMiddleware"
WITHOUT = [name for name in settings.MIDDLEWARE if name != CACHE]
ORIGIN = "http://localhost:3000"


def answer_of(response: Any) -> tuple[int, bytes, dict[str, str]]:
    """All of an answer but the number of the request."""
    headers = {name: value for name, value in response.items() if name != "X-Request-ID"}
    return response.status_code, response.content, headers


def answer(**headers: str) -> HttpResponse:
    """One that may be kept, but for these headers; an empty one is left out."""
    usual = {"Cache-Control": "public, max-age=60", "ETag": '"1"', "Vary": "origin"}
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(b"[]", headers={name: value for name, value in (usual | changed).items() if value})


class ResponseCacheTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.type = make_type()
        self.views = self.enterContext(  # the view calls it once a request
            patch("apps.vouchers.views.document_response", wraps=document_response)
        )

    def requests(self) -> Iterator[dict[str, Any]]:
        etag = self.api.get(URL).headers["ETag"]
        yield {}
        yield {"secure": True}
        for name, values in {
            "Origin": (ORIGIN, "https://other.example", "null", ""),
            "Accept": ("application/json", "application/json; indent=4", "text/html", "*/*;q=0.1", ""),
            "If-None-Match": (etag, f"W/{etag}", f'"x", {etag}', "*", '"x"', ""),
            "If-Match": (etag, '"x"'),
            "If-Modified-Since": ("Sat, 29 Nov 2025 00:00:00 GMT",),
            "Host": ("testserver", "localhost:8000", "evil.example"),
            "Transfer-Encoding": ("chunked",),
            "Content-Length": ("0", "x", "99999999"),
            "Authorization": ("Bearer x",),
            "Cookie": ("sessionid=x",),
            "Range": ("bytes=0-9",),
            "X-Forwarded-Proto": ("https",),
        }.items():
            for value in values:
                yield {"headers": {name: value}}
        yield {"headers": {"Origin": ORIGIN, "If-None-Match": etag}}
        yield {"query_params": {"page": "2"}}
        yield {"query_params": {"format": "xml"}}

    @override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"), SECURE_HSTS_SECONDS=60)
    def test_every_client_gets_what_it_gets_without_the_cache(self):
        for method in ("get", "head", "options"):
            for request in self.requests():
                with self.subTest(method=method, **request):
                    first, again = (answer_of(getattr(self.api, method)(URL, **request)) for _ in range(2))
                    with override_settings(MIDDLEWARE=WITHOUT):
                        uncached = answer_of(getattr(Client(), method)(URL, **request))
                    self.assertEqual(first, uncached)
                    self.assertEqual(again, uncached)

    def test_a_request_like_one_before_passes_no_view_and_takes_one_query(self):
        etag = self.api.get(URL).headers["ETag"]
        for headers in ({}, {"Origin": ORIGIN}, {"If-None-Match": etag}, {"Accept": "*/*"}):
            self.api.get(URL, headers=headers)
            self.views.reset_mock()
            with self.subTest(headers), self.assertQueries(1):
                self.api.get(URL, headers=headers)
                self.views.assert_not_called()

    def test_a_change_is_seen_at_once_also_by_who_has_the_bytes(self):
        etag = self.api.get(URL).headers["ETag"]
        for headers in ({}, {"If-None-Match": etag}):
            with self.subTest(headers):
                self.api.get(URL, headers=headers)
                VoucherType.objects.update(price=F("price") + 1)
                response = self.api.get(URL, headers=headers)
                self.assertEqual(response.status_code, 200)
                self.assertEqual(response.json()[0]["price"], str(VoucherType.objects.get().price))

    def test_each_request_has_a_number_and_a_line_of_its_own(self):
        with self.assertLogs("apps.core.request_log", "INFO") as logged:
            numbers = [self.api.get(URL).headers["X-Request-ID"] for _ in range(3)]
        self.assertEqual(len(set(numbers)), 3)
        for record in logged.records:
            self.assertRegex(record.getMessage(), rf"^GET {URL} 200 \d+ ms$")

    @override_settings(RATE_LIMITS_ENABLED=True, LIMIT_REQUESTS_PER_NETWORK=(4, 60))
    def test_each_request_counts_once_also_one_that_is_made_anew(self):
        for number in range(4):
            if number == 2:
                VoucherType.objects.update(name="New")
            self.assertEqual(self.api.get(URL).status_code, 200)
        self.assertProblem(self.api.get(URL), 429, "rate_limited")

    @override_settings(RATE_LIMITS_ENABLED=True, LIMIT_REQUESTS_PER_NETWORK=(1, 60))
    def test_a_refusal_has_the_form_of_the_api_and_is_logged_once(self):
        self.api.get(URL)
        with self.assertLogs("apps.core.rate_limits", "WARNING") as logged:
            refused = self.api.get(URL)
        self.assertProblem(refused, 429, "rate_limited")
        self.assertGreater(int(refused.headers["Retry-After"]), 0)
        self.assertIn("Content-Security-Policy", refused.headers)
        self.assertEqual(len(logged.records), 1)

    def test_a_database_that_is_away_is_503_and_nothing_of_before(self):
        self.api.get(URL)
        with patch.object(row_queries, "types_on_sale", side_effect=OperationalError) as query:
            self.assertProblem(self.api.get(URL), 503, "service_unavailable")
        self.assertEqual(query.call_count, 1)  # nobody waits for it a second time
        self.assertEqual(self.api.get(URL).status_code, 200)

    def test_invented_headers_take_no_more_than_their_room(self):
        middleware = ResponseCacheMiddleware(lambda request: answer())
        for number in range(response_cache.MOST * 2 + 5):
            request = RequestFactory().get(URL, headers={"Origin": f"https://{number}.example"})
            middleware(request)
            self.assertLessEqual(len(middleware.responses[URL]), response_cache.MOST)


class ForEverybodyTests(SimpleTestCase):
    """Of an address in the settings only answers that say that anybody may have them are kept."""

    def kept(self, response: Any) -> int:
        middleware = ResponseCacheMiddleware(lambda request: response)
        self.assertIs(middleware(RequestFactory().get(URL)), response)
        return len(middleware.responses[URL])

    def test_one_for_everybody_is_kept(self):
        self.assertEqual(self.kept(answer()), 1)

    def test_others_are_not(self):
        with_cookie = answer()
        with_cookie.set_cookie("sessionid", "x")
        failed = answer()
        failed.status_code = 404
        usual = answer()
        streamed = StreamingHttpResponse([b"[]"], headers=dict(usual.items()))
        for name, response in {
            "private": answer(Cache_Control="private"),
            "without a word on caches": answer(Cache_Control=""),
            "without a version": answer(ETag=""),
            "by cookie": answer(Vary="Cookie, origin"),
            "by anything": answer(Vary="*"),
            "with a cookie": with_cookie,
            "refused": failed,
            "streamed": streamed,
        }.items():
            with self.subTest(name):
                self.assertEqual(self.kept(response), 0)
