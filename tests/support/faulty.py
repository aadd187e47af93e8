"""The application with a fault: redeeming and a voucher's details fail, and the error tells the variable FAULT."""

import logging
import os
from importlib import import_module
from typing import Any

from voucher_project.wsgi import application as application

log = logging.getLogger("apps.faulty")


def fail(self: Any, request: Any, *arguments: Any, **options: Any) -> None:
    """Fail with a secret in the message, in its cause, in a variable and in a line of the log before."""
    secret = os.environ["FAULT"]
    log.warning("About to fail: %s", secret, extra={"sent": request.data, "request": request})
    try:
        raise KeyError(secret)
    except KeyError as error:
        raise ValueError(f"It failed: {secret}") from error


views: Any = import_module("apps.vouchers.views")  # not before Django is set up
views.Redeem.post = views.VoucherDetail.get = fail
