"""Mails are rendered by templates that were joined once: to the same bytes as by Django itself."""

import random
import re
import textwrap
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

from django.template import Context, Template
from django.template.loader import render_to_string
from django.test import SimpleTestCase, override_settings
from django.utils import translation
from django.utils.safestring import mark_safe

from apps.core import email_addresses
from apps.core.mail import rendering
from apps.core.templatetags.mail_text import WIDTH, text_paragraphs

ROOT = Path(__file__).resolve().parent.parent.parent
TEXTS = (
    "Bea",
    "",
    '<b>A & B\'s "tour"</b>',
    "\u202eشحن \u200f& שובר",
    "{{ link }} {% if 1 %}",
    "long words " * 20,
    "a\nb\n\n c\u00a0d",
    mark_safe("<i>safe & sound</i>"),
)
VALUES = (
    *TEXTS,
    0,
    1,
    12_345,
    -3,
    True,
    False,
    None,
    Decimal("1234.50"),
    datetime(2026, 3, 1, 23, 30, tzinfo=UTC),
)


def names_in(folder: str) -> list[str]:
    """The templates of mails whose path matches, by name."""
    return sorted(str(path).partition("/templates/")[2] for path in ROOT.glob(f"*/templates/{folder}"))


WORDS = [name for name in names_in("*/mail/*/*.html") if "/_" not in name]
LAYOUTS = [*names_in("*/mail/*.html"), *names_in("*/mail/*.txt")]


class SameBytesTests(SimpleTestCase):
    def contexts(self, number: int) -> list[dict[str, Any]]:
        """Values of all kinds for the variables of mails, the same each time; some are left out."""
        chance = random.Random(number)
        vouchers: list[dict[str, Any]] = [
            {
                "code": chance.choice(TEXTS),
                "status": chance.choice(("active", "used", "expired", "inactive")),
                "reason": chance.choice(
                    ("refunded", "disputed", "withdrawn", "by_staff", "refund_pending", "")
                ),
                "expiry_date": datetime(2026, chance.randint(1, 12), 9, tzinfo=UTC),
                "uses_remaining": chance.choice((1, 2)),
                "total_uses": chance.choice((1, 3, 1000)),
                "qr": chance.choice(("", "qr1@mail")),
                "usable": chance.choice((True, False)),
                "name": chance.choice(TEXTS),
                "ending": "****1234",
            }
            for _ in range(6)
        ]
        for voucher in vouchers:
            voucher["state"] = tuple(
                voucher[part] for part in ("status", "reason", "expiry_date", "uses_remaining", "total_uses")
            )
        seller = {"name": chance.choice(TEXTS), "address": chance.choice(TEXTS), "tax_number": "TIN <1>"}
        chosen: list[dict[str, Any]] = []
        for _ in range(2):
            every: dict[str, Any] = {name: chance.choice(VALUES) for name in self.variables}
            every |= {"vouchers": vouchers, "seller": seller, "codes": list(TEXTS), "lines": list(TEXTS)}
            left_out = set(chance.sample(sorted(every), len(every) // 5))
            chosen.append({name: value for name, value in every.items() if name not in left_out})
        return chosen

    @property
    def variables(self) -> list[str]:
        """Every name of a variable in the templates of mails."""
        words: set[str] = set()
        for name in [*WORDS, *LAYOUTS, *names_in("*/mail/*/_*.html")]:
            (path,) = ROOT.glob(f"*/templates/{name}")
            words |= set(path.read_text().replace("|", " ").replace(".", " ").split())
        return sorted(word for word in words if word.isidentifier())

    def test_every_mail_in_every_layout_with_values_of_any_kind(self):
        self.assertGreater(len(WORDS), 40)
        self.assertGreater(len(LAYOUTS), 10)
        shown = 0
        for number, words in enumerate(WORDS):
            contexts = self.contexts(number)
            for layout in LAYOUTS:
                for context in contexts:
                    with self.subTest(words=words, layout=layout):
                        language = "fr" if "/fr/" in words else "en"
                        with translation.override(language):
                            theirs = render_to_string(words, {**context, "layout": layout})
                            ours = rendering.render(words, layout, context)
                        self.assertEqual(ours, theirs)
                        shown += "Bea" in ours
        self.assertGreater(shown, 100)

    def test_numbers_are_grouped_where_the_settings_say_so(self):
        words, layout, context = (
            "payments/mail/en/receipt.html",
            "core/mail/subject.txt",
            {"quantity": 12_345},
        )
        with override_settings(USE_THOUSAND_SEPARATOR=True):
            theirs = render_to_string(words, {**context, "layout": layout})
            self.assertEqual(rendering.render(words, layout, context), theirs)
            self.assertIn("12,345", theirs)


class OncePerValueTests(SimpleTestCase):
    def test_it_is_written_for_each_value_and_once_for_it(self):
        written = iter("abc")
        text = "{% load mail_text %}{% for v in vs %}{% once_per v %}{{ v }}{{ next }} {% endonce_per %}{% endfor %}"
        context = Context({"vs": (1, 2, 1, (1, 2), 2, (1, 2)), "next": lambda: next(written)})
        self.assertEqual(Template(text).render(context), "1a 2b 1a (1, 2)c 2b (1, 2)c ")


class DateTests(SimpleTestCase):
    def test_the_hour_that_a_clock_shows_twice_is_two_hours(self):
        template = Template('{{ moment|date:"H:i T" }}')
        joined = rendering._joined(template, "")
        first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Paris"))
        for moment in (first, first.replace(fold=1)):  # equal to Python, as both are of one zone
            context = {"moment": moment}
            self.assertEqual(joined.render(Context(context)), template.render(Context(context)))


class FillTests(SimpleTestCase):
    def test_lines_break_where_those_of_textwrap_do(self):
        chance = random.Random(7)
        for _ in range(500):
            words = [
                "x" * chance.choice((1, 2, 5, 9, 37, 75, 76, 77, 120)) for _ in range(chance.randint(1, 40))
            ]
            text = " ".join(words)
            filled = textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
            self.assertEqual(text_paragraphs(text), filled)


class PlainAddressTests(SimpleTestCase):
    def test_what_counts_as_plain_is_mailable_by_the_long_way_too(self):
        labels = ("a", "a-b", "xn--bcher-kva", "9", "a" * 63)
        plain = [f"{local}@{label}.{label}" for local in ("a", "A.b", "x+1", "-", "_") for label in labels]
        for address in plain:
            self.assertTrue(email_addresses._PLAIN.fullmatch(address), address)
            with patch.object(email_addresses, "_PLAIN", re.compile(r"(?!)")):
                self.assertTrue(email_addresses.is_mailable(address), address)

    def test_what_is_not_goes_the_long_way(self):
        for address in (
            "a@b",
            "a..b@b.c",
            "a@-b.c",
            "a@b.c\n",
            "a,b@c.d",
            "\uff41@b.c",
            f"a@{'a' * 64}.c",
            "a@B.c",
        ):
            self.assertFalse(email_addresses._PLAIN.fullmatch(address), address)
