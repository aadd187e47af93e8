"""What `celery beat` starts, and how often in seconds."""

from typing import Final

CELERY_BEAT_SCHEDULE: Final[dict[str, dict[str, object]]] = {
    "update daily figures": {"task": "analytics.update_daily_figures", "schedule": 5 * 60.0},
    "audit the books": {"task": "analytics.audit", "schedule": 24 * 3600.0},
    "apply waiting Stripe events": {"task": "payments.apply_waiting_events", "schedule": 60.0},
    "send waiting mail": {"task": "core.send_queued_mail", "schedule": 60.0},
    "remove old mail": {"task": "core.remove_old_mail", "schedule": 3600.0},
    "send expiry reminders": {"task": "vouchers.send_expiry_reminders", "schedule": 3600.0},
    "remove old refusals": {"task": "vouchers.remove_old_refusals", "schedule": 24 * 3600.0},
    "reconcile with Stripe": {
        "task": "payments.reconcile",
        "schedule": 15 * 60.0,
        "kwargs": {"hours": 2},
    },
    "reconcile four days with Stripe": {
        "task": "payments.reconcile",
        "schedule": 24 * 3600.0,
        "kwargs": {"hours": 96},
    },
    "remove old idempotency keys": {
        "task": "payments.remove_old_idempotency_keys",
        "schedule": 3600.0,
    },
    "remove old Stripe events": {"task": "payments.remove_old_events", "schedule": 24 * 3600.0},
    "remove old sessions": {"task": "authentication.remove_old_sessions", "schedule": 24 * 3600.0},
}
