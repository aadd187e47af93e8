"""What the canary needs: codes in every spelling, an oracle that sees them in a text, and all that is written."""

import html
import io
import logging
import re
import unicodedata
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from itertools import cycle
from unittest.mock import patch
from urllib.parse import unquote

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.test import Client as Browser
from django.urls import URLPattern

from apps.core import logs
from apps.payments.tests.money import PaidTestCase
from apps.vouchers import codes, services
from apps.vouchers.models import Voucher
from apps.vouchers.services import batches
from apps.vouchers.tests.factories import make_expired_voucher, make_type

from . import keyboards
from .cases import ApiTestCase

PIECE = 8
SWAPPED = str.maketrans("YZ", "ZY")
# What French and Belgian keyboards write for our symbols.
AZERTY = dict(zip("É\"'(-§È_!ÇAQWZ?,", "2345667889QAZWMM", strict=True))
AZERTY_BEYOND_ASCII = {sign: symbol for sign, symbol in AZERTY.items() if not sign.isascii()}
AZERTY_BYTES = bytes(ord(AZERTY.get(chr(each), chr(each))) for each in range(128)) + bytes(range(128, 256))
NO_SYMBOLS = bytes(each for each in range(128) if not re.fullmatch("[0-9A-Z]", chr(each)))
OCTET = re.compile(r"\\+x([0-9a-fA-F]{2})")
ESCAPE = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|[nrt]|(?=[\"'/]))")


def unescaped(text):
    """The text with every encoding undone."""
    before = ""
    while text != before:
        before = text
        text = unquote(OCTET.sub(r"%\1", html.unescape(text)))
        text = ESCAPE.sub(lambda match: chr(int(match[1] or "20", 16)), text)
    return text


def squeezed(text):
    """Letters and digits alone, upper case."""
    text = text.replace("ß", " ")  # a sign between groups, and in upper case two symbols
    return _symbols(unicodedata.normalize("NFKC", text).upper())


def squeezed_as_azerty(text):
    """The same of what a French or Belgian keyboard wrote."""
    text = unicodedata.normalize("NFKC", text).upper()
    for sign, symbol in AZERTY_BEYOND_ASCII.items():
        text = text.replace(sign, symbol)
    return _symbols(text, AZERTY_BYTES)


def _symbols(text, table=None):
    """By bytes, as pages are long: ten times as fast as an expression, or a table of characters."""
    return text.encode("ascii", "ignore").translate(table).translate(None, NO_SYMBOLS).decode()


def tells(text, planted):
    """Whether a text tells one of the planted codes, or eight symbols of one, on whatever keyboard it was typed."""
    text = unescaped(text)
    seen = squeezed(text)
    return (
        _tells(seen, planted)
        or _tells(seen, [code.translate(SWAPPED) for code in planted])
        or _tells(squeezed_as_azerty(text), planted)
    )


def _tells(seen, planted):
    # Any eight in a row have the second or the third four in them: far fewer to look for.
    near = [code for code in planted if code[4:8] in seen or code[8:12] in seen]
    return any(code[at : at + PIECE] in seen for code in near for at in range(len(code) - PIECE + 1))


def accepted(code):
    """Spellings that `codes.parse` reads."""
    shown = codes.format_code(code)
    pairs = [code[at : at + 2] for at in range(0, len(code), 2)]
    return [
        shown,
        shown.lower(),
        code,
        shown.replace("-", " "),
        "--".join(pairs),
        "-".join(code),
        "  ".join(pairs),
        "\u2013".join(pairs).lower(),
        "\u00a0".join(pairs),
        f"{code[:7]}\u2212{code[7:]}",
        f"https://shop.example/redeem#code={code[:8]}-{code[8:]}",
        "\u200b".join(pairs),
        "\u2060".join(code),
        "".join(chr(ord(symbol) + 0xFEE0) for symbol in shown),
        shown.replace("-", "/"),
        f'("{shown}".)',
        *(
            keyboards.typed(keyboards.link(code), layout)
            for layout in ("British", "German", "French", "Belgian")
        ),
    ]


def refused(code):
    """Spellings that it does not, but that a person would."""
    pairs = [code[at : at + 2] for at in range(0, len(code), 2)]
    typo = codes.ALPHABET[codes.ALPHABET.index(code[5]) - 1]
    return [
        ".".join(pairs),
        "_".join(pairs),
        "+".join(pairs),
        "\u00b7".join(pairs),
        codes.format_code(code[:5] + typo + code[6:]),
    ]


def spellings(code):
    return [*accepted(code), *refused(code)]


class Everything(logging.Handler):
    """Keeps each record as both of our formatters write it, and what our own loggers said before any mask."""

    def __init__(self):
        super().__init__()
        self.addFilter(logs.ContextFilter())
        text = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"
        self.formatters = (logs.TextFormatter(text), logs.JsonFormatter())
        self.lines, self.said = [], []

    def emit(self, record):
        self.lines += [(record.name, formatter.format(record)) for formatter in self.formatters]
        if record.name.startswith("apps."):
            self.said.append(record.getMessage())


def all_routes(resolver, before=""):
    """Every route under the resolver, as a resolved request names it."""
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern).removeprefix("^" if before else "")
        if isinstance(entry, URLPattern):
            yield route, entry
        else:
            yield from all_routes(entry, route)


# Routes that are expressions, with an address that each takes.
EXPRESSIONS = {
    "app_list": "admin/vouchers/",
    "profile-picture": f"media/profile-pictures/{'0' * 32}.png",
}
QUERIED = (
    "q search ordering status from to page page_size format service_type voucher_type next e o p all term field_name"
    " code__startswith user__email _to_field _popup"
).split()
SENT = (
    "code details service_data service_type email password first_name token uid refresh reason notes payment_id"
    " payment_intent_id voucher_type_id quantity username label owner face_value name until opened_at next"
).split()


class CanaryTestCase(PaidTestCase, ApiTestCase):
    """Vouchers in every state, whose codes no line may tell, and every line that is written from then on."""

    def setUp(self):
        super().setUp()
        self.type = make_type(max_uses=3)
        self.paid, refunded = self.buy(4), self.buy(2)
        used, held, reissued, _ = self.paid.vouchers
        self.redeem(used)
        services.suspend_vouchers([held.pk], actor=self.staff, reason="x")
        self.planted = [reissued.code]
        services.reissue_voucher(voucher_id=reissued.pk, actor=self.staff, reason="x")
        self.refund(refunded)
        make_expired_voucher(owner=self.customer)
        self.batch = batches.get_or_create_batch(voucher_type=self.type, owner=self.customer, quantity=2)
        batches.issue_remaining(batch=self.batch)
        self.planted += Voucher.objects.values_list("code", flat=True)
        # Each spelling in turn, each time of another code.
        self.spellings = (
            spellings(code)[at]
            for at, code in zip(
                cycle(range(len(spellings(self.planted[0])))), cycle(self.planted), strict=False
            )
        )
        self.desk = Browser(raise_request_exception=False)
        self.desk.force_login(self.staff)
        self.session = self.desk.cookies["sessionid"].value
        self.written, self.printed, self.texts = Everything(), io.StringIO(), []
        self.listen()

    def listen(self):
        root = logging.getLogger()
        known = [each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
        for logger in (root, *known):
            if logger.name != "django.template":  # which the settings keep from debugging, at any LOG_LEVEL
                self.addCleanup(logger.setLevel, logger.level)
                logger.setLevel(logging.DEBUG)
        self.enterContext(patch.object(root, "handlers", [self.written]))
        self.enterContext(redirect_stdout(self.printed))
        self.enterContext(redirect_stderr(self.printed))

    def send(self, method, path, body="", kind="application/json", client=None, during=None, **headers):
        """One request, by who may see most at this address; nothing stays of it but what it wrote and was answered."""
        client = client or (self.desk if path.startswith("/admin/") else self.api)
        if client is self.desk:
            client.cookies["sessionid"] = self.session
        with transaction.atomic():
            with during or nullcontext():
                response = client.generic(method, path, body, content_type=kind, headers=headers)
            content = b"".join(response) if response.streaming else response.content
            if path.startswith("/api/") and response.status_code >= 400:
                self.texts.append((f"problem of {method} {path}", content.decode()))
            for entry in () if during else LogEntry.objects.all():
                self.texts.append(("LogEntry", f"{entry.object_repr} {entry.change_message}"))
            transaction.set_rollback(True)
        return response

    def lines(self):
        """All that was written, by whom."""
        printed = [("printed", line) for line in self.printed.getvalue().splitlines()]
        return list(dict.fromkeys([*self.written.lines, *printed]))

    def assertUntold(self, least):
        """At least so many lines were written, and none tells a code; ours would not without a mask either."""
        self.assertGreater(len(self.lines()), least)
        self.assertEqual([each for each in self.lines() if tells(each[1], self.planted)], [])
        self.assertEqual([each for each in self.texts if tells(each[1], self.planted)], [])
        self.assertEqual([said for said in self.written.said if tells(said, self.planted)], [])

    def row_of(self, entry):
        """The number of a row for the places in an address."""
        for model in admin.site._registry:
            if (entry.name or "").startswith(f"{model._meta.app_label}_{model._meta.model_name}_"):
                return str(getattr(model._default_manager.order_by("pk").first(), "pk", 1))
        return str(self.paid.pk)

    def address(self, route, entry, place):
        path = EXPRESSIONS.get(entry.name, route.replace("(?P<url>.*)$", "<url>"))
        number = self.row_of(entry)
        return "/" + re.sub(r"<(?:(\w+):)?\w+>", lambda match: number if match[1] == "int" else place, path)
