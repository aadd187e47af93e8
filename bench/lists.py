"""The lists of vouchers and uses, measured with many rows: see README.md beside this file."""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.support import services as surroundings

MY, USES = "/api/vouchers/my-vouchers/", "/api/vouchers/usage-history/"
FILL = 5000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--of-one", type=int, default=100_000, help="vouchers of one user (default: %(default)s)"
    )
    parser.add_argument("--rows", type=int, default=300_000, help="vouchers in all (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=15)
    options = parser.parse_args()
    surroundings.use()
    os.environ["ALLOWED_HOSTS"] = "testserver"
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    settings.DEBUG = False  # it would keep every query
    call_command("migrate", verbosity=0)
    people = fill(options.of_one, options.rows)
    print(
        f"{options.rows:,} vouchers, {options.of_one:,} of one user; median of {options.samples} in ms, queries"
    )
    for name, few, many in measured(people, options.of_one, options.samples):
        print(f"{name:44}{few:>20}{many:>20}", flush=True)


def fill(of_one: int, rows: int) -> dict[str, Any]:
    """Users with 20 vouchers and with `of_one`, the other rows spread over many; every third voucher is used."""
    from django.db import connection
    from django.utils import timezone

    from apps.users.models import User
    from apps.vouchers.models import Voucher, VoucherType, VoucherUsage
    from apps.vouchers.states import Hold
    from apps.vouchers.tests.factories import held, sold_voucher

    now = timezone.now()
    few, many, staff = (
        User.objects.create_user(f"{name}@example.org", email_confirmed_at=now)
        for name in ("few", "many", "staff")
    )
    User.objects.filter(pk=staff.pk).update(is_staff=True, is_superuser=True)
    others = User.objects.bulk_create(
        User(email=f"user{number}@example.org") for number in range(rows // 100)
    )
    types = [
        VoucherType.objects.create(name=f"Type {number}", price=10, service_type=f"service_{number}")
        for number in range(10)
    ]
    suspended = held(Hold.SUSPENDED)

    def vouchers() -> Iterator[Voucher]:
        for number in range(rows):
            owner = few if number < 20 else many if number < 20 + of_one else others[number % len(others)]
            # The last type is rare; so are held vouchers.
            kind = types[9] if number % 1000 == 999 else types[number % 9]
            yield sold_voucher(
                owner=owner,
                voucher_type=kind,
                at=now - timedelta(seconds=number % 5_000_000),
                expiry_date=now + timedelta(days=number * 7919 % 400 - 100),
                uses_remaining=int(number % 3 > 0),
                **(suspended if number % 500 == 7 else {}),
            )

    pending: list[Voucher] = []
    for voucher in vouchers():
        pending.append(voucher)
        if len(pending) == FILL:
            Voucher.objects.bulk_create(pending)
            pending = []
    Voucher.objects.bulk_create(pending)
    used = Voucher.objects.filter(uses_remaining=0).values_list("pk", "user_id", "service_type")
    uses = [
        VoucherUsage(
            voucher_id=pk, user_id=user, service_type=service, used_at=now - timedelta(seconds=pk), use_no=1
        )
        for pk, user, service in used
    ]
    VoucherUsage.objects.bulk_create(uses, batch_size=FILL)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
    last_four = Voucher.objects.filter(user=many).first().code[-4:]  # type: ignore[union-attr]
    return {"few": few, "many": many, "staff": staff, "rare": types[9].pk, "last four": last_four}


def measured(people: dict[str, Any], of_one: int, samples: int) -> Iterator[tuple[str, str, str]]:
    """Name of each list, and how long it takes for the user with few vouchers and for the one with many."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from apps.authentication import services
    from apps.vouchers.models import Voucher

    def calls_of(user: Any) -> Callable[[str, dict[str, Any]], Any]:
        token = services.open_session(user=user).access
        client = Client(headers={"Authorization": f"Bearer {token}"})
        return lambda path, query: client.get(path, query)

    def time_of(call: Callable[[str, dict[str, Any]], Any], path: str, query: dict[str, Any]) -> str:
        with CaptureQueriesContext(connection) as captured:
            response = call(path, query)
        queries = len(captured)
        if response.status_code != 200:
            sys.exit(f"{path} {query}: {response.status_code} {response.content[:300]!r}")
        times = []
        for _ in range(samples):
            started = time.perf_counter()
            call(path, query)
            times.append(1000 * (time.perf_counter() - started))
        return f"{statistics.median(times):.1f}  ({queries})"

    few, many = calls_of(people["few"]), calls_of(people["many"])
    code = Voucher.objects.filter(user=people["many"]).values_list("code", flat=True)[0]
    pages = of_one // 20
    lists: list[tuple[str, dict[str, Any]]] = [
        (MY, {}),
        (MY, {"page": pages // 2}),
        (MY, {"page": pages}),
        *((MY, {"ordering": name}) for name in ("purchase_date", "expiry_date", "-expiry_date")),
        (MY, {"ordering": "-expiry_date", "page": pages}),
        *((MY, {"status": name}) for name in ("active", "used", "expired", "inactive")),
        (MY, {"status": "inactive", "ordering": "expiry_date"}),
        (MY, {"voucher_type": people["rare"]}),
        (MY, {"service_type": "service_1"}),
        (MY, {"service_type": "service_9"}),
        (MY, {"search": "type 1"}),
        (MY, {"search": "nothing like it"}),
        (MY, {"search": code}),
        (MY, {"search": people["last four"]}),
        (USES, {}),
        (USES, {"page": pages // 3}),
        (USES, {"service_type": "service_9"}),
        (USES, {"from": "2020-01-01", "to": "2020-02-01"}),
    ]
    for path, query in lists:
        shallow = {name: value for name, value in query.items() if name != "page"}
        yield f"{path.split('/')[-2]} {query or ''}", time_of(few, path, shallow), time_of(many, path, query)
    desk = Client()
    desk.force_login(people["staff"])
    for path, query in (
        ("voucher", {}),
        ("voucher", {"p": 1000}),
        ("voucher", {"q": people["last four"]}),
        ("voucher", {"q": code}),
        ("voucher", {"q": "user77@"}),
        ("voucher", {"status": "inactive"}),
        ("voucher", {"status": "active"}),
        ("voucher", {"voucher_type__id__exact": people["rare"]}),
        ("voucherusage", {}),
        ("voucherusage", {"q": people["last four"]}),
        ("vouchertype", {}),
        ("batch", {}),
    ):
        yield f"admin {path} {query or ''}", "", time_of(desk.get, f"/admin/vouchers/{path}/", query)


if __name__ == "__main__":
    main()
