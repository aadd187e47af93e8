"""What the shop says and offers by itself is what the API takes: the numbers and lists that stand in both."""

import re
from pathlib import Path
from unittest import TestCase

from apps import vouchers
from apps.payments.serializers import MAX_QUANTITY
from apps.users import passwords, pictures
from apps.vouchers.states import WHY_INACTIVE
from shop.tests.test_locales import LOCALES, SHOP

MAILS = Path(vouchers.__file__).parent / "templates/vouchers/mail"


def constant(view, name):
    """The value of a constant in the script of a view, as it is written there."""
    match = re.search(rf"^const {name} = (.+);$", (SHOP / "views" / view).read_text(), re.MULTILINE)
    assert match, name
    return match[1]


def words_of_mails(language):
    """Why a voucher can't be used, as mails say it, by the API's reason."""
    template = MAILS / language / "_state.html"
    lines = re.findall(
        r'voucher\.reason == "(\w+)" %\}(.+?)(?:\{% endif %\})?$', template.read_text(), re.MULTILINE
    )
    return {reason: text.replace("\xa0", " ") for reason, text in lines}


class SharedFactTests(TestCase):
    def test_buyers_read_the_same_on_paper_in_mails_and_in_the_shop_when_a_voucher_cannot_be_used(self):
        self.assertEqual(
            LOCALES["en"]["inactive"], {reason.value: f"{words}." for reason, words in WHY_INACTIVE.items()}
        )
        for language, words in LOCALES.items():
            with self.subTest(language):
                in_mail = {reason: f"{text}." for reason, text in words_of_mails(language).items()}
                self.assertEqual(in_mail, words["inactive"])

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
