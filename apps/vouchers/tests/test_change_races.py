"""Staff change a voucher while it is redeemed: what was in force at each use allowed it, and nothing is lost."""

import threading
import time
from collections import Counter
from datetime import timedelta
from functools import partial
from itertools import zip_longest
from unittest import skipUnless
from unittest.mock import patch

from django.db import OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone
from post_office.models import Email

from apps.core.dates import end_of_day
from apps.core.errors import DomainError
from apps.users import services as user_services
from apps.users.tests.factories import PASSWORD
from apps.vouchers import codes, services
from apps.vouchers.errors import VoucherNotFound
from apps.vouchers.models import Voucher, VoucherEvent, VoucherUsage
from apps.vouchers.services import holds, redemption, reissue
from apps.vouchers.states import Hold, VoucherEventKind
from apps.vouchers.tests.factories import answer_to, held
from tests.support.books import broken_rules

from .races import CHANGING, VoucherRaceTestCase, used_between

USES = 1000  # more than anybody gets to make here

on_postgresql = skipUnless(
    connection.vendor == "postgresql", "SQLite runs whole transactions one after the other"
)


def redeem_by_looking_first(*, code, user, service_type=None, details=None):
    """A broken twin: asks whether the voucher may be used, and then uses it whatever has become of it."""
    voucher = Voucher.objects.read_with_clock(code=codes.parse(code))
    if voucher is None:
        raise VoucherNotFound
    if voucher.status_at(voucher.read_at) != "active":
        raise redemption._refusal(voucher, service_type, None)
    time.sleep(0.1)
    with transaction.atomic():
        Voucher.objects.filter(pk=voucher.pk).update(uses_remaining=F("uses_remaining") - 1)
        voucher.refresh_from_db()
        usage = VoucherUsage.objects.create(
            voucher=voucher,
            user=user,
            service_type=voucher.service_type,
            used_at=timezone.now(),
            use_no=voucher.uses_made,
        )
        return answer_to(usage)


def extend_by_saving_the_whole_row(*, voucher_id, until, actor, reason):
    """A broken twin: what a form does that was read a moment ago."""
    voucher = Voucher.objects.get(pk=voucher_id)
    time.sleep(0.2)
    voucher.expiry_date = end_of_day(until)
    voucher.save()
    VoucherEvent.objects.create(voucher=voucher, kind=VoucherEventKind.EXTENDED, actor=actor, reason=reason)


def uses_lost(voucher, redeemed):
    """By how many the counter and the records differ from the redemptions that succeeded."""
    voucher.refresh_from_db()
    return voucher.uses_made - redeemed, voucher.usages.count() - redeemed


class ExtendOrRedeemTests(VoucherRaceTestCase):
    """A voucher expires while it is redeemed, and is extended at about that instant."""

    UNTIL = timezone.localdate() + timedelta(days=700)
    RIGHT = {
        "strange": set(),
        "refused in time": set(),
        "in the end": {"redeemed"},
        "used late": 0,
        "lost": (0, 0),
        "expires": end_of_day(UNTIL),
    }

    def race(self, voucher, after):
        """One round: it is extended so many seconds after it has expired, or before if that is less than none."""
        expiry = timezone.now() + timedelta(days=1)

        def extend():
            nonlocal expiry
            with transaction.atomic():
                services.lock_vouchers([voucher.pk])
                expiry = timezone.now() + timedelta(seconds=0.3)
                Voucher.objects.filter(pk=voucher.pk).update(expiry_date=expiry)
            time.sleep(max(0, (expiry - timezone.now()).total_seconds() + after))
            services.extend_voucher(voucher_id=voucher.pk, until=self.UNTIL, actor=self.staff, reason="Ill")

        meanwhile, then = self.while_redeemed(voucher, extend)
        redeemed = [word for word, _ in meanwhile].count("redeemed") + then.count("redeemed")
        lost = uses_lost(voucher, redeemed)
        extended_at = voucher.events.get(kind=VoucherEventKind.EXTENDED).at
        return {
            "strange": {word for word, _ in meanwhile} - {"redeemed", "voucher_expired"} - CHANGING,
            "refused in time": {word for word, at in meanwhile if at < expiry} - {"redeemed"},
            "in the end": set(then),
            "used late": used_between(voucher, expiry, extended_at),
            "lost": lost,
            "expires": voucher.expiry_date,
        }

    def test_each_redemption_was_in_time_by_the_expiry_that_held_then(self):
        for round_no, voucher in enumerate(self.vouchers(max_uses=USES)):
            after = (round_no - self.rounds / 2) * 0.01
            self.assertEqual(self.race(voucher, after), self.RIGHT, f"{after} s after the expiry")
        self.assertEqual(broken_rules(), {})

    def test_the_same_race_catches_an_extension_that_saves_the_whole_row(self):
        self.expected.add(500)  # the schema refuses the number of a use that there is already
        with patch.object(services, "extend_voucher", extend_by_saving_the_whole_row):
            rounds = (self.race(voucher, after=-0.25) for voucher in self.vouchers(max_uses=USES))
            self.assertTrue(any(outcome["lost"] != (0, 0) for outcome in rounds))

    def test_the_same_race_catches_a_redeem_that_looks_first(self):
        with patch.object(services, "redeem_voucher", redeem_by_looking_first):
            rounds = (self.race(voucher, after=0.3) for voucher in self.vouchers(max_uses=USES))
            self.assertTrue(any(outcome["used late"] for outcome in rounds))


class HoldOrRedeemTests(VoucherRaceTestCase):
    RIGHT = {"strange": set(), "used while held": 0, "lost": (0, 0)}

    def race(self, voucher, *changes):
        """One round: staff hold the voucher, let it go, and so on, while it is redeemed."""

        def act():
            for change in changes:
                time.sleep(0.05)
                self.assertEqual(len(change([voucher.pk], actor=self.staff, reason="Looked into")), 1)

        meanwhile, then = self.while_redeemed(voucher, act)
        redeemed = [word for word, _ in meanwhile].count("redeemed") + then.count("redeemed")
        events = voucher.events.exclude(kind=VoucherEventKind.ISSUED).order_by("id")
        moments = list(events.values_list("at", flat=True))
        periods = zip_longest(moments[::2], moments[1::2])  # held, let go; held, …
        in_the_end = "voucher_inactive" if len(changes) % 2 else "redeemed"
        return {
            "strange": {word for word, _ in meanwhile} - {"redeemed", "voucher_inactive"} - CHANGING
            | set(then) - {in_the_end},
            "used while held": sum(used_between(voucher, begin, end) for begin, end in periods),
            "lost": uses_lost(voucher, redeemed),
        }

    SUSPENDED = (services.suspend_vouchers, services.release_vouchers)
    VOIDED = (*SUSPENDED, services.void_vouchers)

    def test_nothing_is_redeemed_while_it_is_held(self):
        for round_no, voucher in enumerate(self.vouchers(max_uses=USES)):
            changes = (self.SUSPENDED, self.VOIDED)[round_no % 2]
            self.assertEqual(self.race(voucher, *changes), self.RIGHT, f"round {round_no}")
        self.assertEqual(broken_rules(), {})

    def test_the_same_race_catches_a_redeem_that_looks_first(self):
        with patch.object(services, "redeem_voucher", redeem_by_looking_first):
            rounds = (self.race(voucher, *self.VOIDED) for voucher in self.vouchers(max_uses=USES))
            self.assertTrue(any(outcome["used while held"] for outcome in rounds))


class ReissueOrRedeemTests(VoucherRaceTestCase):
    RIGHT = {"strange": set(), "used by the old code": 0, "lost": (0, 0), "by the new code": "redeemed"}

    def race(self, voucher):
        """One round: the voucher gets a new code while it is redeemed by the old one."""

        def reissue():
            time.sleep(0.1)
            services.reissue_voucher(voucher_id=voucher.pk, actor=self.staff, reason="Lost")

        meanwhile, then = self.while_redeemed(voucher, reissue)
        redeemed = [word for word, _ in meanwhile].count("redeemed")
        reissued_at = voucher.events.get(kind=VoucherEventKind.REISSUED).at
        late = used_between(voucher, reissued_at)
        new = Voucher.objects.get(pk=voucher.pk)
        by_the_new = self.redeem(self.apis[0], new.code)
        return {
            "strange": {word for word, _ in meanwhile} - {"redeemed", "voucher_not_found"}
            | set(then) - {"voucher_not_found"},
            "used by the old code": late,
            "lost": uses_lost(new, redeemed + 1),
            "by the new code": by_the_new,
        }

    def test_the_old_code_takes_uses_until_the_change_and_none_after_it(self):
        for round_no, voucher in enumerate(self.vouchers(max_uses=USES)):
            self.assertEqual(self.race(voucher), self.RIGHT, f"round {round_no}")
        self.assertEqual(broken_rules(), {})

    def test_the_same_race_catches_a_redeem_that_looks_first(self):
        with patch.object(services, "redeem_voucher", redeem_by_looking_first):
            rounds = (self.race(voucher) for voucher in self.vouchers(max_uses=USES))
            self.assertTrue(any(outcome["used by the old code"] for outcome in rounds))

    def reissue_at_once(self, voucher):
        """One round: the same form is sent four times; (new codes made, other answers, mails to the owner)."""
        opened_at = timezone.now()

        def reissue():
            try:
                services.reissue_voucher(
                    voucher_id=voucher.pk, actor=self.staff, reason="Lost", decided_at=opened_at
                )
            except DomainError as refusal:
                return refusal.code
            return "reissued"

        outcomes = Counter(self.together(*[reissue] * 4))
        events = voucher.events.filter(kind=VoucherEventKind.REISSUED).count()
        mails = Email.objects.count()
        Email.objects.all().delete()
        return outcomes, events, mails

    ONCE = (Counter({"reissued": 1, "service_unavailable": 3}), 1, 1)

    def test_a_form_that_is_sent_again_at_once_makes_one_code(self):
        for voucher in self.vouchers():
            self.assertEqual(self.reissue_at_once(voucher), self.ONCE)
        self.assertEqual(broken_rules(), {})

    @on_postgresql
    def test_the_same_race_catches_a_reissue_that_does_not_lock(self):
        with patch.object(reissue, "lock_vouchers", read_only):
            self.assertTrue(any(self.reissue_at_once(voucher) != self.ONCE for voucher in self.vouchers()))


def read_only(voucher_ids):
    """A broken twin of `locked`."""
    vouchers = list(Voucher.objects.filter(pk__in=list(voucher_ids)).order_by("pk"))
    time.sleep(0.1)
    return vouchers


def locked_as_they_come(voucher_ids):
    """A broken twin of `locked`: in the order in which they are named."""
    vouchers = []
    for pk in voucher_ids:
        vouchers.append(Voucher.objects.select_for_update(of=("self",)).get(pk=pk))
        time.sleep(0.1)
    return vouchers


class HoldsTogether(VoucherRaceTestCase):
    """A dispute, a suspension and a release reach the same two vouchers at the same instant."""

    def race(self, vouchers):
        """One round: how the three failed, and whether each voucher is held as it should be."""
        pending, free = vouchers
        before = {pending: {Hold.REFUND_PENDING, Hold.SUSPENDED}, free: set()}
        Voucher.objects.filter(pk=pending.pk).update(**held(*before[pending]))
        ids = [voucher.pk for voucher in vouchers]
        disputed = {pk: {Hold.DISPUTED} for pk in ids}
        changes = (
            partial(services.sync_money_holds, disputed, reason="Disputed"),
            partial(services.suspend_vouchers, ids[::-1], actor=self.staff, reason="Suspicious"),
            partial(services.release_vouchers, ids, actor=self.staff, reason="Looked into"),
        )

        def carry_out(change):
            try:
                change()
            except OperationalError as error:  # a deadlock, say
                return type(error)
            return None

        failures = self.together(*(partial(carry_out, change) for change in changes))
        return failures, [self.is_right(voucher, before[voucher]) for voucher in vouchers]

    def is_right(self, voucher, before):
        """In any order it ends as disputed; as suspended too, if that is what its history tells last."""
        voucher.refresh_from_db()
        last = voucher.events.filter(hold=Hold.SUSPENDED).order_by("id").last()
        suspended = last.kind == VoucherEventKind.SUSPENDED if last else Hold.SUSPENDED in before
        expected = held(Hold.DISPUTED, *[Hold.SUSPENDED] * suspended)
        return expected == {name: getattr(voucher, name) for name in expected}

    RIGHT = ([None] * 3, [True] * 2)

    def test_no_hold_is_lost_and_none_comes_back(self):
        vouchers = self.vouchers(2 * self.rounds)
        for pair in zip(vouchers[::2], vouchers[1::2], strict=True):
            self.assertEqual(self.race(pair), self.RIGHT)

    def assertTwinCaught(self, twin):
        with patch.object(holds, "lock_vouchers", twin):
            self.assertTrue(any(self.race(self.vouchers(2)) != self.RIGHT for _ in range(self.rounds)))

    @on_postgresql
    def test_the_same_race_catches_holds_that_are_read_before_the_lock(self):
        self.assertTwinCaught(read_only)

    @on_postgresql
    def test_the_same_race_catches_locks_in_any_order(self):
        self.assertTwinCaught(locked_as_they_come)


def locked_for_update(voucher_ids):
    """A broken twin of `locked`: as if somebody might change the vouchers' primary keys."""
    return list(Voucher.objects.select_for_update(of=("self",)).filter(pk__in=voucher_ids).order_by("pk"))


@on_postgresql
class NotingWhileLocked(VoucherRaceTestCase):
    """What only notes something in the history of vouchers refers to them in an order of its own, or with other locks.

    If it waited for whoever has locked them, the two could wait for each other.
    """

    def waits(self, note, *, lock=services.lock_vouchers, patience=5):
        """Whether `note`, about vouchers that are locked, has to wait until they are let go."""
        ids = [voucher.pk for voucher in self.vouchers(3)]
        now = timezone.now()
        Voucher.objects.filter(pk__in=ids).update(
            purchase_date=now - timedelta(days=100), expiry_date=now + timedelta(days=3)
        )
        is_locked, noted = threading.Event(), threading.Event()

        def hold():
            with transaction.atomic():
                lock(ids)
                is_locked.set()
                return not noted.wait(patience)

        def noting():
            is_locked.wait(self.patience)
            note()
            noted.set()

        waited, _ = self.together(hold, noting)
        kinds = [VoucherEventKind.REMINDED, VoucherEventKind.CLOSED]
        self.assertEqual(VoucherEvent.objects.filter(voucher__in=ids, kind__in=kinds).count(), 3)
        return waited

    def remind(self):
        services.send_expiry_reminders(now=timezone.now())

    def close_account(self):
        user_services.close_account(user=self.people[0], password=PASSWORD)

    def test_a_reminder_does_not_wait(self):
        self.assertFalse(self.waits(self.remind))

    def test_the_closing_of_an_account_does_not_wait(self):
        self.assertFalse(self.waits(self.close_account))

    def test_the_same_race_catches_a_lock_that_is_too_strong(self):
        for note in (self.remind, self.close_account):
            self.assertTrue(self.waits(note, lock=locked_for_update, patience=1))
