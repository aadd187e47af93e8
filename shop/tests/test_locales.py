"""The shop's words: every language has every key, with the same placeholders, and every key that a script asks for."""

import json
import re
from pathlib import Path
from unittest import TestCase

SHOP = Path(__file__).parent.parent / "static/shop"
LOCALES = {path.stem: json.loads(path.read_text()) for path in sorted((SHOP / "locales").glob("*.json"))}
PLURALS = {"one", "other"}
# English needs no words of its own where the API's `detail` says it.
IN_THE_WORDS_OF_THE_API = ("problems.", "field_errors.")
# Chosen while the page runs: all keys below must be used by a template of one of these forms.
A_KEY = re.compile(r"""\b(?:t|find|section)\(\s*"([a-z_.]+)\"""")
A_TEMPLATE = re.compile(r"""\b(?:t|find)\(\s*`([^`]+)`""")


def texts(words, prefix=""):
    """Each key with its text; the forms of a plural are one key."""
    for name, value in words.items():
        key = f"{prefix}{name}"
        if isinstance(value, str):
            yield key, value
        elif value.keys() <= PLURALS:
            yield key, " ".join(value.values())
        else:
            yield from texts(value, f"{key}.")


def placeholders(text):
    return set(re.findall(r"\{(\w+)\}", text)) - {"count"}  # a form for one may say it without the number


class LocaleTests(TestCase):
    english = dict(texts(LOCALES["en"]))

    def test_there_is_a_choice_for_each_file(self):
        languages = re.search(r"LANGUAGES = \{(.*?)\}", (SHOP / "i18n.js").read_text())
        assert languages
        self.assertEqual(re.findall(r"(\w\w):", languages[1]), sorted(LOCALES))

    def test_every_language_says_everything_with_the_same_placeholders(self):
        for language, words in LOCALES.items():
            spoken = dict(texts(words))
            own = {key for key in spoken if not key.startswith(IN_THE_WORDS_OF_THE_API)}
            with self.subTest(language):
                self.assertEqual(
                    own, {key for key in self.english if not key.startswith(IN_THE_WORDS_OF_THE_API)}
                )
            for key, text in self.english.items():
                with self.subTest(language, key=key):
                    self.assertEqual(placeholders(spoken[key]), placeholders(text))
                    self.assertTrue(spoken[key].strip())

    def test_other_languages_have_words_for_each_problem_that_a_buyer_may_meet(self):
        page = (SHOP.parents[2] / "docs/api.md").read_text()
        rows = re.findall(r"^\| \d{3} \| ((?:`\w+`(?:, )?)+) \| (.*) \|$", page, re.MULTILINE)
        codes = {
            code for names, when in rows if "staff only" not in when for code in re.findall(r"`(\w+)`", names)
        }
        # What only a mistake of the shop itself, or another kind of client, can cause.
        codes -= set(
            "validation_error parse_error bad_request idempotency_key_invalid idempotency_key_reused signature_invalid"
            " method_not_allowed not_acceptable length_required unsupported_media_type not_ready".split()
        )
        self.assertGreater(len(codes), 25)
        for language in set(LOCALES) - {"en"}:
            self.assertEqual(codes - LOCALES[language]["problems"].keys(), set(), language)

    def test_every_key_that_a_script_asks_for_exists_and_none_is_left_over(self):
        sources = "\n".join(path.read_text() for path in SHOP.rglob("*.js"))
        named = set(A_KEY.findall(sources))
        self.assertGreater(len(named), 150)
        self.assertEqual(named - self.english.keys(), set())
        templates = [
            re.compile(re.sub(r"\\\$\\\{[^}]*\\\}", r"[a-z_0-9]+", re.escape(form)))
            for form in A_TEMPLATE.findall(sources)
        ]
        unused = {
            key for key in self.english.keys() - named if not any(each.fullmatch(key) for each in templates)
        }
        self.assertEqual(unused, set())
