"""Health, version and the API's own description."""

import sys

from django.conf import settings
from django.contrib.auth import get_user
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from drf_spectacular.renderers import OpenApiYamlRenderer, OpenApiYamlRenderer2
from drf_spectacular.utils import extend_schema, inline_serializer
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework import serializers
from rest_framework.exceptions import APIException
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from apps.core.api import openapi_document, problems
from apps.core.api.content_negotiation import FormatOrAccept
from apps.core.api.openapi import documented
from apps.core.backoffice import second_factor

from . import errors, rate_limits, readiness


class PublicView(APIView):
    """A view that asks nobody who they are, and so reads no database for it."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class Index(PublicView):
    @documented(
        "Where to begin: the description of the API, and its version.",
        operation_id="index",
        answers={
            200: inline_serializer(
                "Index",
                {
                    "name": serializers.CharField(),
                    "version": serializers.CharField(),
                    "docs": serializers.URLField(help_text="The description to click through."),
                    "schema": serializers.URLField(help_text="The description as OpenAPI 3."),
                    "health": serializers.URLField(),
                },
            )
        },
    )
    def get(self, request: Request) -> Response:
        links = {name: reverse(name, request=request) for name in ("docs", "schema", "health")}
        return Response({"name": f"{settings.SHOP_NAME} API", "version": settings.VERSION, **links})


class Health(PublicView):
    throttle_classes = ()

    @documented(
        "Whether the process answers. Touches nothing else.",
        operation_id="health",
        answers={
            200: inline_serializer(
                "Health", {"status": serializers.CharField(), "django": serializers.CharField()}
            )
        },
    )
    def get(self, request: Request) -> Response:
        return Response({"status": "healthy", "django": "running"})


class Ready(PublicView):
    throttle_classes = ()
    answer = inline_serializer(
        "Readiness",
        {
            "status": serializers.CharField(),
            "checks": serializers.DictField(child=serializers.CharField()),
            "client": inline_serializer(
                "ClientAddress",
                {
                    "network": serializers.CharField(),
                    "connection": serializers.CharField(),
                    "x_forwarded_for": serializers.CharField(allow_blank=True),
                    "trusted_proxy_count": serializers.IntegerField(),
                },
                required=False,
                help_text="For staff alone: whom the limits take you for.",
            ),
        },
    )

    @documented(
        "Whether requests can be served: 200, or 503 naming what is missing. Database and migrations decide; "
        "a cache or broker that does not answer, and a worker or beat that gives no sign of life, are `degraded`.",
        operation_id="ready",
        answers={200: answer},
        errors=(errors.NotReady,),
    )
    def get(self, request: Request) -> Response:
        checks = readiness.recent_states()
        if readiness.is_ready(checks):
            client = {"client": rate_limits.address_report(request)} if _is_staff(request) else {}
            return Response({"status": "ready", "checks": checks, **client})
        raise errors.NotReady(checks=checks)


def _is_staff(request: Request) -> bool:
    """Whether staff sent it, signed in to the API or the admin. Bad credentials are no error to a public view."""
    try:
        in_admin = get_user(request._request)
        in_api = Request(request._request, authenticators=APIView().get_authenticators()).user
        if in_admin.is_staff and not second_factor.is_missing(request._request, in_admin):
            return True
        return in_api.is_staff and in_api.has_staff_powers
    except (APIException, DatabaseError):
        return False


class Test(PublicView):
    @documented(
        "That the API answers, and its version.",
        operation_id="test",
        answers={
            200: inline_serializer(
                "Test", {"message": serializers.CharField(), "version": serializers.CharField()}
            )
        },
    )
    def get(self, request: Request) -> Response:
        return Response({"message": "API is working!", "version": settings.VERSION})


class OpenApiJsonRenderer(JSONRenderer):
    """Without the library's indentation, with which the document is four times as long."""

    media_type = "application/vnd.oai.openapi+json"


class Schema(PublicView):
    """The OpenAPI 3 document: YAML, or JSON by `Accept` or `?format=json`."""

    content_negotiation_class = FormatOrAccept
    renderer_classes = (
        OpenApiYamlRenderer,
        OpenApiYamlRenderer2,
        JSONRenderer,
        OpenApiJsonRenderer,
    )

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        renderer = request.accepted_renderer
        document = openapi_document.rendered(renderer)
        charset = f"; charset={renderer.charset}" if renderer.charset else ""
        return HttpResponse(
            document.content,
            content_type=f"{renderer.media_type}{charset}",
            headers={
                "ETag": document.etag,
                "Cache-Control": "public, max-age=60",
                "Content-Disposition": f'inline; filename="voucher-app.{renderer.format}"',
            },
        )


class Docs(SpectacularSwaggerSplitView):
    """Swagger UI, from files that this site serves itself."""

    http_method_names = ("get", "head")  # the library's answer to OPTIONS has no page


def no_such_address(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404 for addresses that no route knows: a problem document under /api/, Django's page elsewhere."""
    if problems.is_api(request):
        return problems.problem_response(404)
    from django.views.defaults import page_not_found

    return page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """500 under /api/ as a problem document that says nothing about our insides.

    A page for which a middleware, such as that of sessions, could not reach the database is a plain 503.
    """
    if problems.is_api(request):
        return problems.problem_response(500)
    from django.views.defaults import server_error as page

    return problems.page_of(sys.exc_info()[1]) or page(request)
