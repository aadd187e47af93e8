"""The steps in the life of vouchers: each is done to the rows and to the model, which are then compared."""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, time, timedelta
from typing import Any, ClassVar
from unittest import TestCase

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from hypothesis import stateful
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, invariant, multiple, precondition, rule
from post_office.models import Email

from apps.core.errors import DomainError
from apps.core.idempotency import IdempotencyKeyReused, request_key
from apps.payments.tests.factories import make_completed_transaction
from apps.users import services as users
from apps.users.errors import AccountClosed
from apps.users.tests.factories import PASSWORD, make_customer, make_other_customer, make_staff
from apps.vouchers import codes, errors, models, services
from apps.vouchers.models import Voucher, VoucherUsage
from apps.vouchers.services import batches, withdrawal
from tests.support.books import broken_rules

from .factories import make_type
from .lifecycle_model import HOLDS, MONEY, VOID, Model, Request, Use

TYPES = {"triple": (3, 3, "results"), "single": (1, 2, "results"), "yearly": (5, 365, "transport")}
MOST = 9  # vouchers, so that much happens to each
WINDOW = 7  # days within which a use can be given back
DETAILS = {"desk": 7}
check = TestCase()
check.maxDiff = None


def step(**arguments: Any) -> Callable[[Any], Any]:
    """A rule. All have one name: by name, Hypothesis would switch most of them off in most examples."""

    def rule_of(function: Callable[..., Any]) -> Any:
        @rule(step=st.just(function.__name__), **arguments)
        def step(self: Any, step: str = "", **drawn: Any) -> Any:
            return function(self, **drawn)

        return step

    return rule_of


class Lifecycle(stateful.RuleBasedStateMachine):
    seen: ClassVar[Counter[str]] = Counter()
    vouchers: Bundle[Model] = Bundle("vouchers")
    requests: Bundle[Request] = Bundle("requests")
    some = st.lists(vouchers, min_size=1, max_size=3).map(set)
    types, people = st.sampled_from(list(TYPES)), st.sampled_from(["carla", "otto"])

    def __init__(self):
        super().__init__()
        self.database = transaction.atomic()
        self.database.__enter__()
        self.began = timezone.now()
        self.staff: Any = {"actor": make_staff(), "reason": "because"}
        self.users = {"carla": make_customer(), "otto": make_other_customer()}
        self.type_of = {
            name: make_type(max_uses=uses, validity_days=days, service_type=service)
            for name, (uses, days, service) in TYPES.items()
        }
        self.closed: set[str] = set()
        self.off_sale: set[str] = set()
        self.models: list[Model] = []
        self.answers: dict[tuple[str, str | None], tuple[Request, str]] = {}

    def teardown(self):
        try:
            if sys.exc_info()[0] is None:  # else a step failed, and that is what to tell
                self.finish()
        finally:
            transaction.set_rollback(True)
            self.database.__exit__(None, None, None)

    def finish(self) -> None:
        """Try everything once more in the state that it came to, then look at the books."""
        for voucher in self.models:
            for service in ("transport", None):
                self.send(Request(voucher, "carla", voucher.codes[-1], service, key=None))
        for back in (False, True):
            for type in TYPES:
                self.withdraw(type=type, back=back)
        self.days_pass(days=WINDOW)
        for number in range(4):
            self.reverse_twice(number=number)
        self.the_rows_are_as_the_model_says()
        active = Voucher.objects.redeemable(Now()).order_by("pk").values_list("pk", flat=True)
        check.assertEqual(list(active), [model.pk for model in self.models if model.status == "active"])
        # At the instant of its expiry a voucher has expired.
        check.assertFalse(Voucher.objects.redeemable(F("expiry_date")).exists())
        # For each hold for money the audit wants a refund or a dispute, and here are none but of a closed account.
        money: Any = {each.pk: ["refund_pending"] * each.is_being_refunded for each in self.models}
        services.sync_money_holds(money, reason="because")
        check.assertEqual(broken_rules(), {})
        self.seen.update(kind for model in self.models for kind, _ in model.history)

    def attempt(self, call: Callable[[], Any], *refusals: tuple[Any, DomainError]) -> Any:
        """What `call` gives; or None, if a refusal applies: the first that does is raised, and nothing changes."""
        refusal = next((error for applies, error in refusals if applies), None)
        if refusal is None:
            return call()
        before = traces()
        with check.assertRaises(type(refusal)) as raised:
            call()
        check.assertEqual((type(raised.exception), raised.exception.extra), (type(refusal), refusal.extra))
        check.assertEqual(traces(), before)
        self.seen[type(refusal).__name__] += 1
        return None

    @initialize(target=vouchers)
    def begin(self):
        """Two of each type, one of them used once."""
        owners = {"triple": "carla", "single": "carla", "yearly": "otto"}
        issued = [voucher for type in TYPES for voucher in self.issue(owners[type], type, 2, sold=True)]
        for voucher, key in zip(issued[::2], "abc", strict=True):
            for _ in range(2):
                self.send(Request(voucher, "otto", voucher.codes[0], service=None, key=key))
        return multiple(*issued)

    @precondition(lambda self: len(self.models) < MOST)
    @step(target=vouchers, owner=people, type=types, quantity=st.integers(1, 3), sold=st.booleans())
    def issue_some(self, **what):
        return multiple(*self.issue(**what))

    def issue(self, owner: str, type: str, quantity: int, *, sold: bool = False) -> list[Model]:
        """For money, which counts whatever became of the type and goes back if the owner has left, or as a batch."""
        terms: Any = {"voucher_type": self.type_of[type], "quantity": quantity}
        vouchers: Any = Voucher.objects.order_by("pk")
        if sold:
            paid = make_completed_transaction(user=self.users[owner], **terms)
            vouchers = vouchers.filter(sale__transaction=paid)
        else:
            batch = self.attempt(
                lambda: batches.get_or_create_batch(owner=self.users[owner], **terms),
                (type in self.off_sale, errors.VoucherTypeNotFound()),
                (owner in self.closed, errors.OwnerInactive()),
            )
            if not batch:
                return []
            check.assertEqual(batches.issue_remaining(batch=batch, chunk=2), quantity)
            vouchers = vouchers.filter(batch=batch)
        issued = [Model(row.pk, owner, type, [row.code], *TYPES[type]) for row in vouchers]
        check.assertEqual(len(issued), quantity)
        if sold and owner in self.closed:
            for voucher in issued:
                voucher.is_being_refunded = voucher.set_holds({"refund_pending"})
            self.seen["paid after closing"] += 1
        self.models += issued
        return issued

    @step(
        target=requests,
        voucher=vouchers,
        by=people,
        service=st.sampled_from([None, None, None, "results", "transport"]),
        key=st.sampled_from([None, None, "a", "b", "c"]),
        first_code=st.booleans(),
        times=st.integers(1, 3),
    )
    def redeem(self, voucher, by, service, key, first_code, times):
        request = Request(voucher, by, voucher.codes[0 if first_code else -1], service, key)
        for _ in range(times):
            self.send(request)
        return request

    @step(request=requests)
    def send_again(self, request):
        self.send(request)

    def send(self, request: Request) -> None:
        voucher, body = request.voucher, {"code": request.code, "service_type": request.service}
        arguments: dict[str, Any] = {**body, "user": self.users[request.by], "details": DETAILS}

        def call() -> services.Answer:
            if request.key is None:
                return services.redeem_voucher(**arguments)
            key: Any = request_key({"Idempotency-Key": request.key}, operation="redeem", body=body)
            earlier = services.earlier_answer(user=arguments["user"], key=key)
            return earlier or services.redeem_once(key=key, **arguments)

        if (request.by, request.key) in self.answers:
            first, text = self.answers[request.by, request.key]
            before = traces()
            again = self.attempt(
                call,
                ((request.code, request.service) != (first.code, first.service), IdempotencyKeyReused()),
                (not text, AccountClosed()),
            )
            if again:
                check.assertEqual(again, services.Answer(text, replayed=True))
                check.assertEqual(traces(), before)
                self.seen["replayed"] += 1
            return
        answer = self.attempt(
            call,
            (request.by in self.closed, AccountClosed()),
            (request.code != voucher.codes[-1], errors.VoucherNotFound()),
            (request.service not in (None, voucher.service), errors.ServiceMismatch()),
            voucher.held(),
            (not voucher.left, errors.VoucherUsedUp()),
            (voucher.days_left < 0, errors.VoucherExpired()),
        )
        if answer:
            use_no, user_id = len(voucher.uses) + 1, self.users[request.by].pk
            voucher.uses.append(Use(use_no, user_id, voucher.service, request.key, DETAILS))
            document = json.loads(answer.text)
            described = [document["usage"]["use_no"], document["voucher"]["uses_remaining"], answer.replayed]
            check.assertEqual(described, [use_no, voucher.left, False])
            check.assertEqual(codes.parse(document["voucher"]["code"]), voucher.codes[-1])
            if request.key:
                self.answers[request.by, request.key] = (request, answer.text)
            self.seen["redeemed"] += 1

    @step(number=st.sampled_from(range(20)))
    def reverse_twice(self, number):
        """Some use, or one that there is not."""
        used = [(voucher, use) for voucher in self.models for use in voucher.uses]
        voucher, use = used[number % len(used)]
        pks = VoucherUsage.objects.filter(voucher=voucher.pk, use_no=use.use_no).values_list("pk", flat=True)
        usage_id = pks.get() if number else 0
        for _ in range(2):
            reversal = self.attempt(
                lambda: services.reverse_usage(usage_id=usage_id, **self.staff),
                (not number, errors.UsageNotFound()),
                (use.reversed, errors.AlreadyReversed()),
                (use.days_ago >= WINDOW, errors.ReversalTooLate()),  # by the moments since
                voucher.held(),
            )
            if reversal:
                use.reversed = True
                voucher.history.append(("reversed", ""))

    def change(self, vouchers: Iterable[Model], holds: Callable[[set[str]], set[str]], changed: int) -> None:
        """A service told that so many of these vouchers changed; this is what it made of their holds."""
        check.assertEqual(changed, sum([voucher.set_holds(holds(voucher.holds)) for voucher in vouchers]))

    @step(vouchers=some, money=st.sets(st.sampled_from(sorted(MONEY)), max_size=1))
    def hold_for_money(self, vouchers, money):
        changed = services.sync_money_holds({voucher.pk: money for voucher in vouchers}, **self.staff)
        self.change(vouchers, lambda holds: holds - MONEY | money, changed)

    @step(vouchers=some, action=st.sampled_from(["release", "release", "suspend", "suspend", "void"]))
    def hold_by_staff(self, vouchers, action):
        service, holds = {
            "suspend": (services.suspend_vouchers, lambda holds: holds | {"suspended"}),
            "release": (services.release_vouchers, lambda holds: holds - {"suspended"}),
            "void": (services.void_vouchers, lambda holds: holds | {"voided"}),
        }[action]
        self.change(vouchers, holds, len(service([voucher.pk for voucher in vouchers], **self.staff)))

    @step(type=types, back=st.booleans())
    def withdraw(self, type, back):
        of_type = [voucher for voucher in self.models if voucher.type == type]
        what: Any = {"voucher_type": self.type_of[type], "chunk": 1, **self.staff}
        if back:
            self.change(of_type, lambda holds: holds - {"withdrawn"}, withdrawal.release_type(**what))
            return
        usable = [each for each in of_type if each.left and each.days_left >= 0 and not each.holds & VOID]
        self.change(usable, lambda holds: holds | {"withdrawn"}, withdrawal.withdraw_type(**what))
        self.off_sale.add(type)
        self.type_of[type].refresh_from_db()
        self.issue("carla", type, 1)

    @step(days=st.sampled_from([1, 1, 3, 5]))
    def days_pass(self, days):
        """The database's clock decides, so all that was moves back; but the history, which can't be moved."""
        past = timedelta(days=days)
        Voucher.objects.update(purchase_date=F("purchase_date") - past, expiry_date=F("expiry_date") - past)
        VoucherUsage.objects.update(used_at=F("used_at") - past)
        for voucher in self.models:
            voucher.days_left -= days
            for use in voucher.uses:
                use.days_ago += days
        for voucher in [each for each in self.models if each.status == "expired"][:1]:
            self.send(Request(voucher, "carla", voucher.codes[-1], service=None, key=None))

    @step(voucher=vouchers, days=st.integers(-1, 8))
    def extend(self, voucher, days):
        days_left = voucher.days_left + days
        until = timezone.localdate() + timedelta(days=days_left)
        extended = self.attempt(
            lambda: services.extend_voucher(voucher_id=voucher.pk, until=until, **self.staff),
            voucher.held(*VOID),
            (days <= 0 or days_left < 0, errors.ExtensionBackwards()),
        )
        if extended:
            voucher.days_left = days_left
            voucher.history.append(("extended", ""))

    @step(voucher=vouchers, decided_before=st.booleans())
    def reissue_twice(self, voucher, decided_before):
        decided_at = self.began if decided_before else None
        for _ in range(2):
            reissued = self.attempt(
                lambda: services.reissue_voucher(voucher_id=voucher.pk, decided_at=decided_at, **self.staff),
                voucher.held(*VOID),
                (voucher.owner in self.closed, errors.OwnerInactive()),
                (decided_before and len(voucher.codes) > 1, errors.VoucherChanging()),
            )
            if reissued:
                check.assertNotIn(reissued.code, voucher.codes)
                voucher.codes.append(reissued.code)
                voucher.history.append(("reissued", ""))
                self.send(Request(voucher, "carla", voucher.codes[-2], service=None, key=None))

    @precondition(lambda self: not self.closed)
    @step()
    def close_the_account_of_otto(self):
        otto = self.users["otto"]
        users.close_account(user=otto, password=PASSWORD)
        otto.refresh_from_db()
        self.closed.add("otto")
        self.issue("otto", "yearly", 1)
        for voucher in self.models:
            voucher.history += [("closed", "")] if voucher.owner == "otto" else []
            for use in voucher.uses:
                use.details = {} if use.user_id == otto.pk else use.details
        for (by, key), (request, _) in self.answers.items():
            if by == "otto":
                self.answers[by, key] = (request, "")
                self.send(request)
                self.reissue_twice(voucher=request.voucher, decided_before=False)

    @invariant()
    def the_rows_are_as_the_model_says(self):
        vouchers, usages, reversals, events = rows()
        given_back = {row["usage_id"] for row in reversals}
        uses, history = defaultdict(list), defaultdict(list)
        for row in usages:
            days_ago = (timezone.now() - row["used_at"] + timedelta(minutes=1)).days
            by = (row["use_no"], row["user_id"], row["service_type"], row["idempotency_key"])
            use = Use(*by, row["details"], days_ago, row["id"] in given_back)
            uses[row["voucher_id"]].append(use)
        for row in events:
            history[row["voucher_id"]].append((row["kind"], row["hold"]))
        for row, model in zip(vouchers, self.models, strict=True):
            last_day = timezone.localdate() + timedelta(days=model.days_left)
            expected = {
                "id": model.pk,
                "code": model.codes[-1],
                "user_id": self.users[model.owner].pk,
                "service_type": model.service,
                "total_uses": model.total,
                "uses_remaining": model.left,
                "uses_reversed": model.given_back,
                "expiry_date": timezone.make_aware(datetime.combine(last_day, time(23, 59, 59))),
                "is_active": not model.holds,
                "inactive_reason": model.inactive_reason,
                "holds": " ".join(hold for hold in HOLDS if hold in model.holds),
            }
            check.assertEqual(row, {**row, **expected})
            check.assertEqual((uses[model.pk], history[model.pk]), (model.uses, model.history))
            check.assertEqual(Voucher(**row).status_at(timezone.now()), model.status)
            check.assertNotEqual(Voucher(**row).status_at(row["expiry_date"]), "active")


TABLES: Any = (Voucher, VoucherUsage, models.UsageReversal, models.VoucherEvent)


def rows() -> list[list[dict[str, Any]]]:
    return [list(table.objects.order_by("pk").values()) for table in TABLES]


def traces() -> list[Any]:
    """All that a refusal must leave as it was, as the database has it: made into objects it would take far longer."""
    with connection.cursor() as cursor:
        raw = []
        for table in TABLES:
            cursor.execute(f'SELECT * FROM "{table._meta.db_table}" ORDER BY id')
            raw.append(cursor.fetchall())
    return [*raw, models.Batch.objects.count(), Email.objects.count()]
