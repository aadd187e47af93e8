"""`manage.py withdraw_service`: a type goes off sale, and its vouchers are held, refunded, or let go again."""

import sys
from collections.abc import Callable
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError
from django.utils import timezone
from tqdm import tqdm

from apps.core.errors import UnavailableError
from apps.core.logs import redact
from apps.core.management.arguments import checked_reason
from apps.core.management.exit_codes import INTERRUPTED
from apps.core.money import format_amount
from apps.payments.models import Transaction, TransactionStatus
from apps.payments.services import withdrawal_refunds
from apps.users.management.arguments import staff_called
from apps.users.models import User
from apps.vouchers.management.arguments import type_called
from apps.vouchers.models import VoucherType
from apps.vouchers.services import withdrawal

MAX_REASON_LENGTH: Final = 200


class Command(BaseCommand):
    help = (
        "Takes a voucher type off sale and holds every voucher of it that could still be redeemed; with --refund, "
        "gives the money back for those never used. Without --apply it only says what it would do. Stopped in "
        "the middle, the same command goes on; done again, it changes nothing more."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--type", required=True, metavar="TYPE", help="its name or number")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--hold", action="store_true", help="hold what can be redeemed")
        what.add_argument("--refund", action="store_true", help="hold it, and refund what was never used")
        what.add_argument("--release", action="store_true", help="let go what was held by this command")
        parser.add_argument("--reason", required=True, help="for the history of each voucher")
        parser.add_argument(
            "--by", metavar="EMAIL", help="the member of staff who decided it; needed for --refund"
        )
        parser.add_argument("--apply", action="store_true", help="do it")

    def handle(
        self,
        *,
        type: str,
        reason: str,
        hold: bool,
        refund: bool,
        release: bool,
        by: str | None,
        apply: bool,
        **options: Any,
    ) -> None:
        reason = checked_reason(redact(reason), longest=MAX_REASON_LENGTH)
        if refund and not by:
            raise CommandError("--refund needs --by: a refund is decided by a member of staff.")
        voucher_type = type_called(type)
        actor = staff_called(by) if by else None
        self._say_what_there_is(voucher_type)
        if not apply:
            self._say_what_would_be_done(voucher_type, refund=refund, release=release)
            self.stdout.write("Nothing was changed. To do it, add --apply.")
            return
        try:
            if release:
                self._release(voucher_type, reason, actor)
                return
            self._hold(voucher_type, reason, actor)
            if refund and actor:
                self._refund(voucher_type, reason, actor)
        except KeyboardInterrupt:
            self.stderr.write("Stopped. What was done stays; the same command goes on.")
            sys.exit(INTERRUPTED)
        except (OperationalError, UnavailableError) as error:
            who = "The database" if isinstance(error, OperationalError) else "Stripe"
            raise CommandError(
                f"{who} did not answer in time. What was done stays; the same command goes on."
            ) from error

    def _say_what_there_is(self, voucher_type: VoucherType) -> None:
        left = withdrawal.summarize(voucher_type, now=timezone.now())
        sale = "on sale" if voucher_type.is_active else "off sale"
        self.stdout.write(
            f"Type {voucher_type.pk}: {voucher_type.name} ({voucher_type.service_type}), {sale}"
        )
        for words, count in (
            ("never used", left.unused),
            ("used in part", left.begun),
            ("used up", left.used_up),
            ("expired", left.expired),
            ("void or refunded", left.void),
            ("held for withdrawal", left.withdrawn),
        ):
            self.stdout.write(f"  {words:20}{count:>10,}")
        pending = Transaction.objects.filter(
            voucher_type=voucher_type, status=TransactionStatus.PENDING
        ).count()
        if pending:
            self.stdout.write(
                f"  {pending:,} purchases are not paid yet. Should they still be, their vouchers are issued: "
                "run this again in two days."
            )

    def _say_what_would_be_done(self, voucher_type: VoucherType, *, refund: bool, release: bool) -> None:
        if release:
            self.stdout.write("All that are held for withdrawal would be let go; the type stays off sale.")
            return
        self.stdout.write("The type would go off sale; never used and partly used vouchers would be held.")
        if refund:
            due = withdrawal_refunds.refundable_of(voucher_type, now=timezone.now())
            amounts = ", ".join(
                format_amount(amount, currency).replace("\N{NO-BREAK SPACE}", " ")
                for currency, amount in due.amounts.items()
            )
            self.stdout.write(
                f"Refunded would be {due.vouchers:,} vouchers of {due.payments:,} payments: {amounts or 'nothing'}. "
                "Others that were never used have no payment, or staff, a refund or a dispute hold them already."
            )

    def _hold(self, voucher_type: VoucherType, reason: str, actor: User | None) -> None:
        with Progress("vouchers") as progress:
            held = withdrawal.withdraw_type(
                voucher_type=voucher_type, reason=reason, actor=actor, on_progress=progress
            )
        self.stdout.write(f"The type is off sale. Held {held:,} vouchers.")

    def _release(self, voucher_type: VoucherType, reason: str, actor: User | None) -> None:
        with Progress("vouchers") as progress:
            released = withdrawal.release_type(
                voucher_type=voucher_type, reason=reason, actor=actor, on_progress=progress
            )
        self.stdout.write(
            f"Let go {released:,} vouchers. To sell the type again, put it on sale in the admin."
        )

    def _refund(self, voucher_type: VoucherType, reason: str, actor: User) -> None:
        total = withdrawal_refunds.payments_to_refund(voucher_type)
        with Progress("payments", total) as progress:
            outcome = withdrawal_refunds.refund_unused(
                voucher_type=voucher_type, actor=actor, reason=reason, on_progress=progress
            )
        self.stdout.write(
            f"Refunded {outcome.succeeded:,} vouchers; on their way {outcome.under_way:,}; failed {outcome.failed:,}; "
            f"payments in dispute, left alone: {outcome.disputed_payments:,}; "
            f"for somebody else to approve {outcome.waiting_for_second_person:,}."
        )


class Progress:
    """A progress bar on a terminal, and nothing elsewhere; called with the number done."""

    def __init__(self, unit: str, total: int | None = None) -> None:
        self.bar = tqdm(total=total, unit=f" {unit}", file=sys.stderr, disable=None, leave=False)

    def __enter__(self) -> Callable[[int], object]:
        return lambda done: self.bar.update(done - self.bar.n)

    def __exit__(self, *error: object) -> None:
        self.bar.close()
