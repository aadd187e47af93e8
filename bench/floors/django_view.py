"""Floor of Django: one view that answers JSON, no database. `bench.floors.django_view:application`.

It is its own settings module and its own ROOT_URLCONF, and answers at every address.
"""

import os

from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import re_path

from .body import TYPES

SECRET_KEY = "a floor signs nothing"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = __name__
MIDDLEWARE = ["bench.floors.length.content_length"]


def types(request: HttpRequest) -> JsonResponse:
    return JsonResponse(TYPES, safe=False, json_dumps_params={"separators": (",", ":")})


urlpatterns = [re_path("", types)]

os.environ["DJANGO_SETTINGS_MODULE"] = __name__
application = get_wsgi_application()
