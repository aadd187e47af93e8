"""Codes: made, written, and read back from what people type."""

import re
from contextlib import suppress
from unittest import TestCase
from unittest.mock import patch
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from apps.core import logs
from apps.vouchers import codes

made_codes = st.builds(codes.make)
positions = st.integers(0, codes.LENGTH - 1)


class CodeTests(TestCase):
    def test_it_has_sixteen_symbols_of_the_alphabet(self):
        for _ in range(200):
            code = codes.make()
            self.assertEqual(len(code), 16)
            self.assertLessEqual(set(code), set("23456789ABCDEFGHJKMNPQRSTUVWXYZ"))

    @given(made_codes, st.lists(st.sampled_from(["", "-", " ", "--"]), min_size=15, max_size=15))
    def test_whatever_is_read_as_a_code_is_masked_where_codes_must_not_stand(self, code, between):
        typed = "".join(map("".join, zip(code, [*between, ""], strict=True)))
        self.assertEqual(codes.parse(typed), code)
        self.assertEqual(re.sub("[^0-9A-Z]", "", logs.without_secrets(f"({typed})")), code[-4:])

    def test_the_alphabet_is_of_a_prime_size_without_look_alikes(self):
        self.assertEqual(len(set(codes.ALPHABET)), 31)
        self.assertFalse(set("01OIL") & set(codes.ALPHABET))

    def test_every_random_bit_of_the_uuid_can_change_the_code_and_the_fixed_ones_cannot(self):
        def code_of(number):
            with patch("uuid.uuid4", return_value=UUID(int=number, version=4)):
                return codes.make()

        base = UUID("5f0c9f2e-7a41-4b3d-9d52-0e8c6c1f2a37").int
        fixed = {62, 63, 76, 77, 78, 79}
        changed = {bit for bit in range(128) if code_of(base ^ 1 << bit) != code_of(base)}
        self.assertEqual(changed, set(range(128)) - fixed)

    def test_many_codes_are_all_different_and_use_every_symbol_in_every_place(self):
        many = [codes.make() for _ in range(5_000)]
        self.assertEqual(len(set(many)), len(many))
        for place in range(codes.LENGTH):
            self.assertEqual({code[place] for code in many}, set(codes.ALPHABET), place)

    def test_it_is_shown_in_groups_of_four_and_masked_to_the_last_four(self):
        code = codes.make()
        self.assertRegex(codes.shown(code), r"^[2-9A-Z]{4}(-[2-9A-Z]{4}){3}$")
        self.assertTrue(codes.masked(code).endswith(code[-4:]))
        self.assertNotIn(code[:12], codes.masked(code))

    @given(made_codes)
    def test_it_is_read_in_any_case_with_any_dashes_and_spaces(self, code):
        shown = codes.shown(code)
        for typed in (
            code,
            shown,
            shown.lower(),
            shown.replace("-", " "),
            f" {shown}\n",
            shown.replace("-", "–"),
        ):
            self.assertEqual(codes.parse(typed), code)

    @given(made_codes, positions, st.sampled_from(codes.ALPHABET))
    def test_every_single_wrong_symbol_is_caught(self, code, place, symbol):
        typed = code[:place] + symbol + code[place + 1 :]
        if typed != code:
            with self.assertRaises(codes.CodeMalformed):
                codes.parse(typed)

    @given(made_codes, st.integers(0, codes.LENGTH - 2))
    def test_every_swap_of_neighbours_is_caught(self, code, place):
        typed = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
        if typed != code:
            with self.assertRaises(codes.CodeMalformed):
                codes.parse(typed)

    @given(st.text(max_size=200))
    def test_anything_else_is_refused_by_name(self, typed):
        with suppress(codes.CodeMalformed):
            self.assertEqual(len(codes.parse(typed)), 16)
