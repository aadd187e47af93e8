"""What people write where codes must not stand: no row keeps a code in full, and no page or answer shows one.

Each place that masks is watched by what it is for, and has its control: without its mask the canary sees the code.
"""

import ast
import io
import logging
from collections import Counter
from contextlib import redirect_stderr, suppress
from importlib import import_module
from pathlib import Path
from smtplib import SMTPDataError
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import models, transaction
from django.test import tag
from django.urls import reverse

from apps.core import error_reports, logs, mail
from apps.core.api.problems import LONGEST_QUOTE
from apps.payments.models import Refund, Transaction
from apps.payments.tests.money import REDEEM, REFUND, REFUNDS
from apps.vouchers import codes
from apps.vouchers.models import Batch, CodeExportRequest, Voucher, VoucherEvent, VoucherUsage
from apps.vouchers.services import code_exports
from apps.vouchers.tests.factories import make_batch_vouchers, make_type, make_voucher
from tests.support.canary import CanaryTestCase, accepted, tells

# Where codes stand by design: what is sold, the answers that clients get again, mails on their way, and what whoever
# redeemed wrote about it, which pages show masked. The name of a type is for everybody to read.
KEEP_CODES = {
    "vouchers.Voucher.code",
    "vouchers.VoucherType.name",
    "vouchers.VoucherUsage.answer",
    "vouchers.VoucherUsage.details",
    "vouchers.VoucherUsage.idempotency_key",
    "auth.Group.name",
    "payments.IdempotencyKey.answer",
    "post_office.Email.context",
    "post_office.Email.message",
    "post_office.Email.html_message",
}
SCREENS = (Refund, Transaction, Voucher, VoucherUsage, VoucherEvent, Batch, CodeExportRequest)
TEXTS = (models.CharField, models.TextField, models.JSONField)

# Each place that masks, how often it does, and what tells a code if it does not.
PLACES = {
    "apps.core.apps": (2, {"admin.LogEntry.object_repr", "admin.LogEntry.change_message"}),
    "apps.core.error_reports": (1, {"report"}),
    "apps.core.hosts": (1, {"host"}),
    "apps.core.logs.handlers": (2, {"text", "json"}),
    "apps.core.logs.redaction": (2, {"printed"}),  # the second masks the ends of a long text
    "apps.core.exports.recorded_export": (1, {"core.DataExport.criteria"}),
    "apps.core.exports.tables": (1, {"export of Voucher"}),
    "apps.core.mail.delivery": (1, {"post_office.Log.message"}),
    "apps.core.api.problems": (1, {"answer"}),
    "apps.core.backoffice.confirmed_actions": (
        1,
        {"vouchers.VoucherEvent.reason", "payments.Refund.decision_note"},
    ),
    "apps.core.backoffice.search": (1, {"search"}),
    "apps.payments.management.commands.withdraw_service": (1, {"vouchers.VoucherEvent.reason"}),
    "apps.payments.services.refunds.requests": (2, {"payments.Refund.reason", "payments.Refund.notes"}),
    "apps.vouchers.backoffice.history": (1, {"page of VoucherUsage"}),
    "apps.vouchers.services.batch_changes": (  # the second finds what the first wrote
        2,
        {"core.BulkOperation.reason", "vouchers.VoucherEvent.reason"},
    ),
    "apps.vouchers.services.batches": (1, {"vouchers.Batch.label"}),
    "apps.vouchers.services.code_exports": (
        2,
        {"vouchers.CodeExportRequest.reason", "vouchers.CodeExportRequest.decision_note"},
    ),
}


def unmasked(text, redactors=None):
    return str(text)


def places_that_mask():
    """How often each module of the application calls `redact`."""
    for path in Path(settings.BASE_DIR, "apps").rglob("*.py"):
        if "tests" not in path.parts:
            module = ".".join(path.relative_to(settings.BASE_DIR).with_suffix("").parts)
            calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            yield from (module for call in calls if getattr(call.func, "id", "") == "redact")


@tag("slow", "any-database")
class RowsTests(CanaryTestCase):
    def setUp(self):
        super().setUp()
        self.voucher = make_voucher(owner=self.customer, voucher_type=self.type)
        self.planted.append(self.voucher.code)
        self.other = {}

    def act(self, model, name, row, **fields):
        path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        form = {"action": name, "_selected_action": row, "confirmed": "yes", "post": "yes", **fields}
        return self.desk.post(path, form)

    def write_everywhere(self, spelt):
        """Everything that people and what they use may write, with a code in it."""
        text = f"Instead of {spelt}"
        request = self.api.post(
            REFUND, {"payment_id": self.paid.pk, "reason": text, "notes": f"{text}, please"}
        )
        self.assertEqual(request.status_code, 201, request.content)
        self.act(Refund, "reject", request.json()["id"], reason=text)
        self.assertTrue(Refund.objects.get(pk=request.json()["id"]).decision_note)
        used = self.api.post(REDEEM, {"code": self.voucher.code, "details": {spelt: [text]}})
        self.assertEqual(used.status_code, 200, used.content)
        batch = {"voucher_type": self.type.pk, "owner": self.customer.pk, "quantity": 1, "label": spelt}
        self.desk.post(reverse("admin:vouchers_batch_add"), batch)
        cut = f"{'x' * (LONGEST_QUOTE - 15)} {spelt}"  # of which the answer quotes the beginning
        unknown = self.api.post(REDEEM, {"code": "x", text: 1, cut: 1})
        self.assertEqual(unknown.status_code, 400, unknown.content)
        self.other["answer"] = unknown.content.decode()
        self.act(Voucher, "suspend", self.voucher.pk, reason=text)
        self.other["search"] = self.desk.post("/admin/search/", {"q": f"{text}, please"}).content.decode()
        with suppress(CommandError):  # it takes no reason with a control character
            self.withdraw(text)
        with suppress(CommandError):  # as before
            self.hold_batch(text)
        self.ask_for_codes(text)
        self.write_in_the_history_of_the_admin(text)
        self.export(text)
        self.fail_to_mail(text)
        self.log(text)
        with self.assertLogs("apps.core.hosts", "WARNING") as logged:
            self.api.get("/api/", headers={"Host": quote(spelt, safe="-")})
        self.other["host"] = "".join(logged.output)

    def withdraw(self, text):
        options = {"type": self.type.name, "reason": text, "apply": True, "stdout": io.StringIO()}
        call_command("withdraw_service", hold=True, **options)
        call_command("withdraw_service", release=True, **options)

    def hold_batch(self, text):
        batch: Any = make_batch_vouchers(owner=self.customer, quantity=1)[0].batch
        options = {"batch": batch.label, "reason": text, "by": self.staff.email, "stdout": io.StringIO()}
        call_command("change_batch", hold=True, apply=True, **options)

    def ask_for_codes(self, text):
        batch: Any = make_batch_vouchers(owner=self.customer, quantity=1)[0].batch
        request = code_exports.request_code_export(batch=batch, actor=self.staff, reason=text)
        code_exports.approve_code_export(request_id=request.pk, actor=self.customer, note=text)

    def write_in_the_history_of_the_admin(self, text):
        types = [make_type(name=f"{number} {text}") for number in range(2)]
        groups = [Group.objects.create(name=f"{number} {text}") for number in range(2)]
        for rows in (types, groups):
            self.act(type(rows[0]), "delete_selected", [row.pk for row in rows])
            self.assertFalse(type(rows[0]).objects.filter(pk__in=[row.pk for row in rows]).exists())
        LogEntry.objects.log_actions(self.staff.pk, [self.type], CHANGE, change_message=text)

    def export(self, text):
        """The list of vouchers, filtered by a type with such a name, which is gone afterwards: pages show names."""
        kind = make_type(name=f"3 {text}")
        filtered = f"{reverse('admin:vouchers_voucher_export')}?voucher_type__id__exact={kind.pk}"
        with transaction.atomic():
            make_voucher(owner=self.customer, voucher_type=kind)
            response = self.desk.post(filtered, {"file_type": "csv"})
            self.assertEqual(response["Content-Type"], "text/csv; charset=utf-8")
            self.other["export of Voucher"] = response.getvalue().decode()
            transaction.set_rollback(True)
        self.desk.post(filtered, {"file_type": "csv"}).getvalue()
        kind.delete()

    def fail_to_mail(self, text):
        def refuse(backend, messages):
            raise SMTPDataError(554, f"Refused: {text}".encode())

        with patch("django.core.mail.backends.locmem.EmailBackend.send_messages", refuse):
            self.assertEqual(mail.send_pending(), 0)

    def log(self, text):
        record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": text})
        self.other["text"] = logs.TextFormatter().format(record)
        self.other["json"] = logs.JsonFormatter().format(record)
        self.other["report"] = str(error_reports.compose({"exception": [{"value": text}]}, {}))
        with redirect_stderr(io.StringIO()) as printed:
            try:
                raise ValueError(text)
            except ValueError as error:
                logs.redacting_excepthook(ValueError, error, error.__traceback__)
        self.other["printed"] = printed.getvalue()

    def leaks(self, *, pages=True):
        """Which columns, pages and answers tell a code where none should stand; without pages only the rest."""
        places = {name for name, text in self.other.items() if tells(text, self.planted)}
        for model in apps.get_models():
            columns = [field.name for field in model._meta.concrete_fields if isinstance(field, TEXTS)]
            columns = [name for name in columns if f"{model._meta.label}.{name}" not in KEEP_CODES]
            for row in model._base_manager.values(*columns) if columns else ():
                places |= {
                    f"{model._meta.label}.{name}" for name in columns if tells(str(row[name]), self.planted)
                }
        for name, page in self.pages() if pages else ():
            if tells(page, self.planted):
                places.add(name)
        return places

    def pages(self):
        yield "page of the admin", self.desk.get(reverse("admin:index")).content.decode()
        refunds = self.api.get(REFUNDS).json()["results"]  # whose buyer reads the codes themselves in it
        yield "answer of refunds", str([{**refund, "voucher_codes": None} for refund in refunds])
        for model in SCREENS:
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
            rows = model._default_manager.order_by("-pk").values_list("pk", flat=True)[:1]
            for address in (
                reverse(f"{name}_changelist"),
                *(reverse(f"{name}_change", args=(row,)) for row in rows),
            ):
                page = self.desk.get(address)
                self.assertEqual(page.status_code, 200, address)
                yield f"page of {model.__name__}", page.content.decode()

    def test_what_people_write_is_kept_and_shown_without_codes(self):
        self.assertEqual(self.leaks(), set())
        for spelt in accepted(self.planted[0])[1::6]:
            with self.subTest(spelt), transaction.atomic():
                self.write_everywhere(spelt)
                self.assertEqual(self.leaks(), set())
                transaction.set_rollback(True)

    def test_control_without_the_mask_of_a_place_its_code_is_seen(self):
        for name, (_, expected) in PLACES.items():
            with self.subTest(name), transaction.atomic():
                with patch.object(import_module(name), "redact", unmasked):
                    self.write_everywhere(codes.format_code(self.planted[0]))
                    pages = any(each.startswith(("page", "answer of")) for each in expected)
                    self.assertLessEqual(expected, self.leaks(pages=pages))
                transaction.set_rollback(True)

    def test_every_place_that_masks_is_watched(self):
        self.assertEqual(Counter(places_that_mask()), {name: times for name, (times, _) in PLACES.items()})

    def test_what_is_masked_here_are_all_screens_that_delete(self):
        """Rows deleted together are logged at once, without the signal that masks: see LogsEachRow."""
        request = self.desk.get(reverse("admin:index")).wsgi_request
        deleting = {
            screen.__class__.__name__
            for screen in admin.site._registry.values()
            if screen.has_delete_permission(request)
        }
        self.assertEqual(deleting, {"GroupAdmin", "VoucherTypeAdmin"})
