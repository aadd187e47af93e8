"""core serves any product: its text names nothing of this one, so that what belongs to an app stands in that app."""

import re
import tempfile
from pathlib import Path

from django.conf import settings
from django.test import SimpleTestCase

CORE = Path(settings.BASE_DIR, "apps", "core")
WORDS = re.compile(r"\w*(?:voucher|payment|refund|redeem|redemption|dispute|stripe)\w*", re.IGNORECASE)
# The name of the site, and the words of others.
ALLOWED = ("Voucher App", "voucher-app", "payment=()")  # the last is a browser's, in Permissions-Policy
KINDS = {".py", ".html", ".txt"}


def product_words(folder):
    """Each word of the product in a folder's code and templates, with its file and line."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in KINDS and "tests" not in path.relative_to(folder).parts:
            for number, line in enumerate(path.read_text().splitlines(), start=1):
                for name in ALLOWED:
                    line = line.replace(name, "")
                yield from (f"{path.relative_to(folder)}:{number} {word}" for word in WORDS.findall(line))


class ProductWordsTests(SimpleTestCase):
    def test_core_names_nothing_of_the_product(self):
        self.assertEqual(list(product_words(CORE)), [])

    def test_control_a_word_is_seen_in_code_and_templates(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "x.py").write_text("title = 'Voucher App'\nfrom apps.payments import stripe_amounts\n")
            (folder / "x.html").write_text("<p>Your refund</p>\n")
            words = list(product_words(folder))
        self.assertEqual(words, ["x.html:1 refund", "x.py:2 payments", "x.py:2 stripe_amounts"])
