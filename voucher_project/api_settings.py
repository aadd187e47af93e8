"""How REST framework is set up: who may call, what is read and written, and how errors are answered."""

from typing import Any, Final

REST_FRAMEWORK: Final[dict[str, Any]] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["apps.authentication.authentication.SessionTokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["apps.core.api.parsers.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "apps.core.api.content_negotiation.ContentNegotiation",
    "DEFAULT_FILTER_BACKENDS": [],
    "DEFAULT_THROTTLE_CLASSES": ["apps.core.api.throttling.RequestRateThrottle"],
    "DEFAULT_SCHEMA_CLASS": "apps.core.api.openapi.ProblemSchema",
    "URL_FORMAT_OVERRIDE": None,
    "EXCEPTION_HANDLER": "apps.core.api.problems.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
