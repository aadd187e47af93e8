"""Floor of REST framework: a view with a JWT and one query. `bench.floors.drf_view:application`, at every address.

GET verifies the access token, reads its user by primary key and answers with the user. POST redeems a code besides, by
the one statement that pgbench runs too: 200 with the use, 409 where no use is left.
"""

import os
import threading
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.urls import re_path

from .statement import COLUMNS, PREPARE

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.floors.drf_settings"
application = get_wsgi_application()

# Only now: REST framework reads the settings when it is imported.
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

_of_thread = threading.local()


def _redeem(cursor: Any, code: str, user_id: int) -> tuple[Any, ...] | None:
    """The row of the use, by a statement that each connection prepares once, as the product's do."""
    if getattr(_of_thread, "connection", None) is not cursor.connection:
        cursor.execute(PREPARE)
        _of_thread.connection = cursor.connection
    cursor.execute("EXECUTE redeem (%s, %s)", (code, user_id))
    row: tuple[Any, ...] | None = cursor.fetchone()
    return row


class Floor(APIView):
    def get(self, request: Request) -> Response:
        user = request.user
        return Response({"id": user.pk, "email": user.email, "first_name": user.first_name})

    def post(self, request: Request) -> Response:
        code = request.data["code"].replace("-", "")
        with connection.cursor() as cursor:
            use = _redeem(cursor, code, request.user.pk)
        if use is None:
            return Response({"message": "Not redeemed."}, status=409)
        usage = dict(zip(COLUMNS, use, strict=True))
        return Response({"message": "Voucher redeemed.", "usage": usage})


urlpatterns = [re_path("", Floor.as_view())]
