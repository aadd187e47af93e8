"""Where Prometheus fetches the metrics."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from .metrics import exposition


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics of this server, for who has METRICS_TOKEN; where that is empty there is no such page."""
    if not settings.METRICS_TOKEN:
        raise Http404
    headers = {"Cache-Control": "no-store"}
    if not exposition.is_authorized(request.headers.get("Authorization", "")):
        headers["WWW-Authenticate"] = "Bearer"
        return HttpResponse("Unauthorized\n", status=401, content_type="text/plain", headers=headers)
    return HttpResponse(exposition.render(), content_type=exposition.CONTENT_TYPE, headers=headers)
