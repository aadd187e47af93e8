"""What `celery beat` starts: how often in seconds, and when daily (UTC).

Daily jobs have a time of day: beat forgets when it began where its file does not outlast a restart, as on platforms
that start every process anew each day, and 24 hours would then never be over.
"""

from typing import Final

from celery.schedules import crontab

CELERY_BEAT_SCHEDULE: Final[dict[str, dict[str, object]]] = {
    "update daily figures": {"task": "analytics.update_daily_figures", "schedule": 60.0},
    "audit the books": {"task": "analytics.audit", "schedule": crontab(hour=2, minute=10)},
    "heartbeat": {"task": "core.heartbeat", "schedule": 60.0},
    "apply waiting Stripe events": {"task": "payments.apply_waiting_events", "schedule": 60.0},
    "send waiting mail": {"task": "core.send_queued_mail", "schedule": 60.0},
    "take up interrupted bulk operations": {
        "task": "core.run_interrupted_bulk_operations",
        "schedule": 60.0,
    },
    "remove old mail": {"task": "core.remove_old_mail", "schedule": 3600.0},
    "send expiry reminders": {"task": "vouchers.send_expiry_reminders", "schedule": 3600.0},
    "remove old refusals": {"task": "vouchers.remove_old_refusals", "schedule": crontab(hour=3, minute=20)},
    "reconcile with Stripe": {
        "task": "payments.reconcile",
        "schedule": 15 * 60.0,
        "kwargs": {"hours": 2},
    },
    "reconcile four days with Stripe": {
        "task": "payments.reconcile",
        "schedule": crontab(hour=1, minute=40),
        "kwargs": {"hours": 96},
    },
    "issue missing receipts": {"task": "payments.issue_missing_receipts", "schedule": 3600.0},
    "remove old idempotency keys": {
        "task": "payments.remove_old_idempotency_keys",
        "schedule": 3600.0,
    },
    "remove old Stripe events": {
        "task": "payments.remove_old_events",
        "schedule": crontab(hour=3, minute=30),
    },
    "remove expired changes of address": {
        "task": "authentication.remove_expired_email_changes",
        "schedule": crontab(hour=3, minute=45),
    },
    "remove old sessions": {
        "task": "authentication.remove_old_sessions",
        "schedule": crontab(hour=3, minute=40),
    },
}
