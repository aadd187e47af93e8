"""Floor of REST framework: a view with a JWT and one query. `bench.floors.drf_view:application`, at every address.

GET verifies the access token, reads its user by primary key and answers with the user. POST redeems a code besides, by
the one statement that pgbench runs too: 200 with the use, 409 where no use is left.
"""

import os

from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.urls import re_path

from .statement import COLUMNS, REDEEM

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.floors.drf_settings"
application = get_wsgi_application()

# Only now: REST framework reads the settings when it is imported.
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402


class Floor(APIView):
    def get(self, request: Request) -> Response:
        user = request.user
        return Response({"id": user.pk, "email": user.email, "first_name": user.first_name})

    def post(self, request: Request) -> Response:
        code = request.data["code"].replace("-", "")
        with connection.cursor() as cursor:
            cursor.execute(REDEEM, {"code": code, "user": request.user.pk})
            use = cursor.fetchone()
        if use is None:
            return Response({"message": "Not redeemed."}, status=409)
        usage = dict(zip(COLUMNS, use, strict=True))
        return Response({"message": "Voucher redeemed.", "usage": usage})


urlpatterns = [re_path("", Floor.as_view())]
