"""What the shop says and offers by itself is what the API takes: the numbers and lists that stand in both."""

import re
from unittest import TestCase

from apps.payments.serializers import MAX_QUANTITY
from apps.users import passwords, pictures
from shop.tests.test_locales import LOCALES, SHOP


def constant(view, name):
    """The value of a constant in the script of a view, as it is written there."""
    match = re.search(rf"^const {name} = (.+);$", (SHOP / "views" / view).read_text(), re.MULTILINE)
    assert match, name
    return match[1]


class SharedFactTests(TestCase):
    def test_every_language_says_how_long_a_new_password_has_to_be(self):
        for language, words in LOCALES.items():
            with self.subTest(language):
                hint = words["fields"]["password_hint"]
                self.assertEqual(re.findall(r"\d+", hint), [str(passwords.MIN_LENGTH)])

    def test_it_offers_as_many_vouchers_at_once_as_can_be_bought(self):
        self.assertEqual(constant("buy.js", "MAX_QUANTITY"), str(MAX_QUANTITY))

    def test_it_lets_people_choose_the_pictures_that_are_taken(self):
        formats = constant("account.js", "PICTURES").strip('"').split(",")
        self.assertEqual(formats, [f"image/{name.lower()}" for name in pictures.EXTENSIONS])
        size, *factors = map(int, constant("account.js", "LARGEST_PICTURE").split(" * "))
        self.assertEqual((factors, size * 1024 * 1024), ([1024, 1024], pictures.MAX_BYTES))
        for language, words in LOCALES.items():
            with self.subTest(language):
                self.assertEqual(re.findall(r"\d+", words["account"]["picture_hint"]), [str(size)])
