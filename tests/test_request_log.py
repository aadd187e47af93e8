"""The line of a request: what it says of the request, of who sent it and of the answer."""

import json
import logging
from functools import partial
from itertools import count
from typing import Any
from unittest.mock import patch

from django.http import HttpResponse, StreamingHttpResponse
from django.test import RequestFactory, override_settings

from apps.core import logs, request_log
from apps.core.middleware import RequestIdMiddleware
from apps.users.tests.factories import make_customer, make_staff
from apps.vouchers import codes
from tests.support.cases import ApiTestCase

LOGGER = "apps.core.request_log"


def answer(response, request):
    return response


@override_settings(SLOW_REQUEST_MS=0)  # on a busy machine any request may be slow
class RequestLogTests(ApiTestCase):
    def lines_of(self, call):
        """The lines that a call of the API writes about itself, as JSON has them, and its answer."""
        with self.assertLogs(LOGGER, "INFO") as logged:
            response = call()
        formatter = logs.JsonFormatter()
        for record in logged.records:
            logs.ContextFilter().filter(record)
        return [json.loads(formatter.format(record)) for record in logged.records], response

    def line_of(self, call):
        lines, response = self.lines_of(call)
        self.assertEqual([line["level"] for line in lines], ["INFO"])
        return lines[0], response

    def assertMembers(self, line, **expected):
        self.assertEqual({name: line[name] for name in expected}, expected)

    def test_it_has_the_route_the_status_the_time_and_the_length_of_the_answer(self):
        line, response = self.line_of(lambda: self.api.get("/api/vouchers/types/?page=1"))
        self.assertMembers(
            line,
            request_id=response["X-Request-ID"],
            method="GET",
            route="/api/vouchers/types/",
            status=200,
            user_id=None,
            network="127.0.0.1",
            bytes=len(response.content),
        )
        self.assertGreater(line["ms"], 0)
        self.assertRegex(line["message"], r"\AGET /api/vouchers/types/ 200 \d+ ms\Z")

    def test_it_names_the_user_by_number_whatever_the_client(self):
        customer, staff = make_customer(), make_staff()
        line, _ = self.line_of(lambda: self.signed_in(customer).get("/api/users/profile/"))
        self.assertMembers(line, user_id=customer.pk, status=200)
        self.client.force_login(staff)
        line, _ = self.line_of(lambda: self.client.get("/admin/"))
        self.assertMembers(line, user_id=staff.pk, route="/admin/")

    def test_it_asks_nobody_who_the_user_is(self):
        self.client.force_login(make_staff())
        with self.assertNumQueries(0):
            line, _ = self.line_of(lambda: self.client.get("/api/health/"))
        self.assertMembers(line, user_id=None)

    def test_the_network_is_that_of_the_limits(self):
        senders: list[tuple[Any, str]] = [
            ({"REMOTE_ADDR": "2001:db8:1:2:3:4:5:6"}, "2001:db8:1:2::/64"),
            ({"REMOTE_ADDR": "10.0.0.9", "HTTP_X_FORWARDED_FOR": "198.51.100.7, 203.0.113.7"}, "203.0.113.7"),
            ({"REMOTE_ADDR": "no address"}, ""),
        ]
        for options, network in senders:
            with override_settings(TRUSTED_PROXY_COUNT=1):
                line, _ = self.line_of(partial(self.api.get, "/api/health/", **options))
            self.assertMembers(line, network=network)

    def test_no_part_of_an_address_or_method_stands_in_it(self):
        code = codes.format_code(codes.make())
        line, _ = self.line_of(lambda: self.api.get(f"/api/vouchers/detail/{code}/?also={code}"))
        self.assertMembers(line, route="/api/vouchers/detail/<str:code>/", status=401)
        self.assertNotIn(code[:9], str(line))
        line, _ = self.line_of(lambda: self.api.get(f"/{code}/"))
        self.assertMembers(line, route="(no route)", status=404)
        self.assertNotIn(code[:9], str(line))
        spelled = "-".join(code.replace("-", ""))  # a method of HTTP may be any word
        line, _ = self.line_of(lambda: self.api.generic(spelled, "/api/vouchers/types/"))
        self.assertMembers(line, method="(other)", status=405)
        self.assertNotIn(spelled, str(line))

    def test_the_length_of_an_answer_without_a_body_and_of_a_streamed_one(self):
        line, response = self.line_of(lambda: self.api.head("/api/vouchers/types/"))
        self.assertMembers(line, method="HEAD", bytes=0)
        self.assertGreater(int(response["Content-Length"]), 0)
        for response, length in (
            (StreamingHttpResponse(["ab", "c"]), None),
            (StreamingHttpResponse(["ab", "c"], headers={"Content-Length": "3"}), 3),
            (HttpResponse("four"), 4),
        ):
            middleware = RequestIdMiddleware(partial(answer, response))
            line, _ = self.line_of(partial(middleware, RequestFactory().get("/")))
            self.assertMembers(line, bytes=length)

    def test_a_slow_request_is_a_warning_besides(self):
        def slowly(request):
            clock[0] += 0.7
            return HttpResponse("late")

        clock = [0.0]
        middleware = RequestIdMiddleware(slowly)
        for limit, levels in ((700, ["INFO", "WARNING"]), (701, ["INFO"]), (0, ["INFO"])):
            with (
                override_settings(SLOW_REQUEST_MS=limit),
                patch("apps.core.middleware.time.perf_counter", lambda: clock[0]),
            ):
                lines, _ = self.lines_of(lambda: middleware(RequestFactory().get("/")))
            self.assertEqual([line["level"] for line in lines], levels, limit)
            self.assertEqual({line["ms"] for line in lines}, {700.0})
            if len(lines) > 1:
                self.assertEqual(lines[1]["message"], "Slow request: GET (no route) 700 ms")
                self.assertEqual(lines[0].keys(), lines[1].keys())

    def test_where_only_warnings_are_logged_a_slow_request_still_is(self):
        for limit, levels in ((1, ["WARNING"]), (0, [])):
            with (
                override_settings(SLOW_REQUEST_MS=limit),
                patch("apps.core.middleware.time.perf_counter", count(0, 0.7).__next__),
                self.assertLogs(LOGGER, "WARNING") as logged,
            ):
                logging.getLogger(LOGGER).warning("first")
                self.api.get("/api/health/")
            self.assertEqual([record.levelname for record in logged.records[1:]], levels)

    def test_what_somebody_sent_as_the_request_s_id_is_masked(self):
        code = codes.make()
        line, response = self.line_of(lambda: self.api.get("/api/health/", headers={"X-Request-ID": code}))
        self.assertEqual(line["request_id"], f"***{code[-4:]}")
        self.assertEqual(response["X-Request-ID"], code)

    def test_every_standard_method_is_one_that_the_line_names(self):
        self.assertLessEqual(
            {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, request_log.METHODS
        )
        self.assertEqual(request_log.method_of(RequestFactory().generic("BREW", "/")), "(other)")


class FieldTests(ApiTestCase):
    def test_a_field_of_any_other_line_is_masked_too(self):
        code = codes.make()
        record = logging.makeLogRecord(
            {"name": "x", "msg": "m", "fields": {"sql": f"code = '{code}'", "ms": 7}}
        )
        line = json.loads(logs.JsonFormatter().format(record))
        self.assertEqual((line["sql"], line["ms"]), (f"code = '***{code[-4:]}'", 7))
