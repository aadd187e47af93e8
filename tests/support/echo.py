"""A WSGI application for tests of the web server alone: it answers with what it was sent, or with much."""

import os
import resource
import time

from voucher_project import web_worker

for _name in ("HEADER_SECONDS", "SEND_SECONDS"):
    if _name in os.environ:
        setattr(web_worker, _name, int(os.environ[_name]))

if "DESCRIPTORS" in os.environ:
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(os.environ["DESCRIPTORS"]),) * 2)


def application(environ, start_response):
    """Answers with the method, the path and the body; `/unread` without reading the body, `/process` with the number
    of the process, and `/much` (or any address with `?much`) with 50 MB."""
    if environ["PATH_INFO"] == "/much" or environ["QUERY_STRING"] == "much":
        body = b"x" * 50_000_000
    elif environ["PATH_INFO"] == "/process":
        body = str(os.getpid()).encode()
    else:
        sent = b"" if environ["PATH_INFO"] == "/unread" else environ["wsgi.input"].read()
        body = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} ".encode() + sent
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def hanging(environ, start_response):
    """Never answers."""
    time.sleep(3600)
