"""Whether the time of an answer tells who has an account: see README.md beside this file. Standard library only."""

import argparse
import json
import random
import statistics
import sys
import time
import uuid
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PASSWORD = "a bench pass phrase"


class Server:
    """One connection to a server of this machine."""

    def __init__(self, base: str) -> None:
        parts = urlsplit(base)
        if parts.hostname not in LOOPBACK:
            sys.exit(f"Only servers of this machine are measured, not {parts.hostname}.")
        self.connection = HTTPConnection(parts.hostname, parts.port, timeout=30)
        self.prefix = parts.path

    def call(self, method: str, path: str, body: Any, expect: int, token: str = "") -> tuple[float, Any]:
        """Milliseconds and the answer; ends the program when it is not the expected one."""
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = json.dumps(body)
        started = time.perf_counter()
        self.connection.request(method, self.prefix + path, data, headers)
        response = self.connection.getresponse()
        content = response.read()
        milliseconds = (time.perf_counter() - started) * 1000
        if response.status != expect:
            hint = " (start the server with RATE_LIMITS_ENABLED=False)" if response.status == 429 else ""
            sys.exit(f"{path}: {response.status} instead of {expect}{hint}: {content[:200]!r}")
        return milliseconds, json.loads(content) if content else None


def account(server: Server) -> tuple[str, str]:
    """Address and access token of a new account."""
    email = f"{uuid.uuid4().hex}@example.com"
    person = {"email": email, "first_name": "Bench", "last_name": "Mark"}
    passwords = {"password": PASSWORD, "password_confirm": PASSWORD}
    _, answer = server.call("POST", "/auth/register/", {**person, **passwords}, 201)
    return email, answer["access"]


def measure(server: Server, disabled: str, samples: int) -> dict[str, dict[str, list[float]]]:
    """Times by endpoint and case, all cases of a round in random order."""
    known, _ = account(server)
    times: dict[str, dict[str, list[float]]] = {}
    for number in range(samples + 10):
        unknown = f"{uuid.uuid4().hex}@example.com"
        cases = [
            ("login", "unknown", "/auth/login/", {"email": unknown, "password": PASSWORD}, 401),
            ("login", "wrong password", "/auth/login/", {"email": known, "password": f"x{PASSWORD}"}, 401),
            ("password-reset", "unknown", "/auth/password-reset/", {"email": unknown}, 202),
            ("password-reset", "known", "/auth/password-reset/", {"email": known}, 202),
        ]
        if disabled:
            cases += [
                ("login", "disabled", "/auth/login/", {"email": disabled, "password": PASSWORD}, 401),
                ("password-reset", "disabled", "/auth/password-reset/", {"email": disabled}, 202),
            ]
        random.shuffle(cases)
        for endpoint, case, path, body, expect in cases:
            milliseconds, _ = server.call("POST", path, body, expect)
            if number >= 10:  # the first rounds warm up
                times.setdefault(endpoint, {}).setdefault(case, []).append(milliseconds)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api", default="http://127.0.0.1:8000/api")
    parser.add_argument("--samples", type=int, default=100, choices=range(10, 2001), metavar="10-2000")
    parser.add_argument("--disabled", default="", help=f"a deactivated account; its password: {PASSWORD}")
    options = parser.parse_args()
    times = measure(Server(options.api), options.disabled, options.samples)
    print(
        f"{'endpoint':<16}{'case':<16}{'samples':>8}{'p10 ms':>9}{'median ms':>11}{'p95 ms':>9}{'apart':>8}"
    )
    for endpoint, cases in sorted(times.items()):
        medians = {case: statistics.median(milliseconds) for case, milliseconds in cases.items()}
        least = min(medians.values())
        for case, milliseconds in sorted(cases.items()):
            p10, p95 = (sorted(milliseconds)[int(len(milliseconds) * share)] for share in (0.1, 0.95))
            apart = f"{medians[case] / least - 1:+.1%}"
            print(
                f"{endpoint:<16}{case:<16}{len(milliseconds):>8}{p10:>9.2f}{medians[case]:>11.2f}{p95:>9.2f}{apart:>8}"
            )


if __name__ == "__main__":
    main()
