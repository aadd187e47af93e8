"""What the shop says and offers by itself is what the API takes: the numbers and lists that stand in both."""

import re
from unittest import TestCase

from apps.users import passwords
from shop.tests.test_locales import LOCALES


class SharedFactTests(TestCase):
    def test_every_language_says_how_long_a_new_password_has_to_be(self):
        for language, words in LOCALES.items():
            with self.subTest(language):
                hint = words["fields"]["password_hint"]
                self.assertEqual(re.findall(r"\d+", hint), [str(passwords.MIN_LENGTH)])
