"""Telling ADMINS by mail what a scheduled check found: each finding once, and once that there is none any more."""

import logging
from collections.abc import Mapping
from typing import Final

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from . import mail
from .models import ReportedFindings

log = logging.getLogger(__name__)

MOST_KEPT: Final = 1000  # findings of a check that are told apart; the others stand for one
MOST_SHOWN: Final = 20  # lines of a mail
MORE: Final = "more"


def report(check: str, findings: Mapping[str, str], *, looked_everywhere: bool = True) -> None:
    """Mail what is new among the findings of a check that has just ended.

    `findings` are a line each, by what makes them the same finding the next time; no codes, no names of people. One
    that was reported before is not mailed again, unless it was gone in between. `looked_everywhere` is False for a
    check of a part, or one that was cut short: what it did not find may be there still. Where none is left, a last mail
    says so.
    Without ADMINS nothing is mailed, and nothing counts as reported.
    """
    if not settings.ADMINS:
        return
    by_key = _bounded(findings)
    with transaction.atomic():
        row, _ = ReportedFindings.objects.get_or_create(check_name=check)
        row = ReportedFindings.objects.select_for_update().get(pk=row.pk)  # two may end at once
        reported = set(row.keys)
        new = by_key.keys() - reported
        still = (reported & by_key.keys()) if looked_everywhere else reported
        if new:
            lines = [by_key[key] for key in sorted(new)]
            _mail(check, lines, also_open=len(still))
        elif reported and not still:
            _mail(check, [], also_open=0)
        if new or still != reported:
            row.keys = sorted(still | new)
            row.save(update_fields=("keys",))


def _bounded(findings: Mapping[str, str]) -> dict[str, str]:
    kept = {key: findings[key] for key in sorted(findings)[:MOST_KEPT]}
    if len(findings) > MOST_KEPT:
        kept[MORE] = f"more than {MOST_KEPT} findings in all"
    return kept


def _mail(check: str, new: list[str], *, also_open: int) -> None:
    context = {
        "check": check,
        "lines": new[:MOST_SHOWN],
        "more": max(0, len(new) - MOST_SHOWN),
        "also_open": also_open,
        "link": f"{settings.API_URL}{reverse('admin:core_jobresult_changelist')}",
    }
    for _, address in settings.ADMINS:
        mail.enqueue(
            to=address, template="core/findings", language=None, layout="core/mail/findings", context=context
        )
    log.info("%s: mail to %s administrators of %s new findings", check, len(settings.ADMINS), len(new))
