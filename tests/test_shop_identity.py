"""Who sells here, as the environment says it, and where it stands then."""

from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from django.core import mail as outbox
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages
from django.test import override_settings
from PIL import Image
from post_office.models import Email

from apps.core import mail
from apps.core.checks import AT_START
from apps.core.mail import messages
from apps.core.startup import log_configuration
from apps.payments.tests.factories import make_completed_transaction
from apps.users.tests.factories import make_customer
from tests.support.cases import ApiTestCase
from tests.support.configuration import ConfigurationTestCase, load
from tests.support.runner import home
from voucher_project import shop_identity
from voucher_project.shop_identity import Seller
from voucher_project.unfold_settings import unfold_settings

TEMPLATE = "authentication/second_factor_changed"

UNREADABLE = [
    ("SHOP_NAME", "W" * 101),
    ("SHOP_NAME", "Exams\nOnline"),
    ("SHOP_CONTACT", "W" * 201),
    ("SHOP_SELLER", "| 1 Main Street | C0001"),
    ("SHOP_SELLER", "Exams Ltd | 1 Main Street | C0001 | more"),
    ("SHOP_SELLER", "W" * 201),
    ("SHOP_LOGO", "../logo.png"),
    ("SHOP_LOGO", "shop/logo.svg"),
    ("SHOP_LOGO", "missing.png"),
    ("TAX_RATE", "0"),
    ("TAX_RATE", "100"),
    ("TAX_RATE", "-15"),
    ("TAX_RATE", "15.0001"),
    ("TAX_RATE", "fifteen"),
]


def html_of(letter: Any) -> str:
    """What a mail shows as a page."""
    return str(letter.alternatives[0][0])


class ConfigurationTests(ConfigurationTestCase):
    def test_receipts_without_a_seller_are_warned_of_when_it_is_deployed_and_at_the_start(self):
        nobody = Seller("", "", "")
        for settings, ids in (
            ({"SHOP_SELLER": nobody}, ["payments.W002"]),
            ({"SHOP_SELLER": Seller("Exams Ltd", "", "")}, []),
            ({"SHOP_SELLER": nobody, "DEBUG": True}, []),
        ):
            with self.subTest(settings), override_settings(**settings):
                warnings = run_checks(tags=[AT_START], include_deployment_checks=True)
                self.assertEqual([each.id for each in warnings if "SHOP_SELLER" in each.msg], ids)
                with self.assertLogs("apps.core.startup", "INFO") as logged:
                    log_configuration()
                self.assertEqual("SHOP_SELLER is not set" in "".join(logged.output), bool(ids))

    def test_the_shop_has_a_name_and_no_seller_until_it_is_set(self):
        loaded = load()
        names = ("SHOP_NAME", "SHOP_LOGO", "SHOP_CONTACT", "SHOP_SELLER", "TAX_RATE")
        self.assertEqual([loaded[name] for name in names], ["Voucher App", "", "", ("", "", ""), None])
        self.assertTrue(load(DEBUG="True")["SHOP_SELLER"].name)
        loaded = load(
            SHOP_NAME="Exams Online",
            SHOP_CONTACT="help@example.org",
            SHOP_SELLER="Exams Ltd | 1 Main Street, Accra | C0001",
            TAX_RATE="12.5 %",
        )
        self.assertEqual(loaded["SHOP_SELLER"], ("Exams Ltd", "1 Main Street, Accra", "C0001"))
        self.assertEqual(load(SHOP_SELLER="Exams Ltd")["SHOP_SELLER"], ("Exams Ltd", "", ""))
        self.assertEqual(loaded["TAX_RATE"], Decimal("12.5"))
        self.assertEqual(
            (loaded["UNFOLD"]["SITE_TITLE"], loaded["UNFOLD"]["SITE_ICON"]), ("Exams Online", None)
        )
        described = loaded["SPECTACULAR_SETTINGS"]
        self.assertEqual(described["TITLE"], "Exams Online API")
        self.assertEqual(described["CONTACT"], {"name": "Exams Online", "email": "help@example.org"})
        page = load(SHOP_CONTACT="https://example.org/help")["SPECTACULAR_SETTINGS"]["CONTACT"]
        self.assertEqual(page, {"name": "Voucher App", "url": "https://example.org/help"})
        self.assertNotIn("CONTACT", load(SHOP_CONTACT="+233 20 000 0000")["SPECTACULAR_SETTINGS"])

    def test_it_refuses_what_no_receipt_could_hold(self):
        self.assertUnreadable(UNREADABLE)

    def test_a_logo_is_a_picture(self):
        folder = home() / "logos"
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(folder / "logo.png")
        Image.new("1", (2001, 8)).save(folder / "wide.png")
        Path(folder, "text.png").write_text("no picture")
        with patch.object(shop_identity, "STATIC", folder):
            loaded = load(SHOP_LOGO="logo.png")
            self.assertEqual(loaded["SHOP_LOGO"], "logo.png")
            self.assertEqual(loaded["UNFOLD"]["SITE_ICON"](None), "/static/logo.png")
            for unfit in ("text.png", "wide.png"):
                with self.assertRaisesMessage(ImproperlyConfigured, "SHOP_LOGO"):
                    load(SHOP_LOGO=unfit)

    def test_the_admin_is_there_without_a_logo_that_was_not_collected(self):
        manifest = {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
        folder = home() / "collected"
        folder.mkdir(exist_ok=True)
        (folder / "staticfiles.json").write_text('{"version": "1.1", "paths": {"old.png": "old.1.png"}}')
        with override_settings(STATIC_ROOT=folder, STORAGES=storages.backends | {"staticfiles": manifest}):
            for logo, address in (("new.png", None), ("old.png", "/static/old.1.png")):
                icon = unfold_settings("Exams Online", "https://example.org", logo=logo)["SITE_ICON"]
                self.assertEqual(icon(None), address)


@override_settings(
    SHOP_NAME="Exams <Online>", SHOP_CONTACT="help@example.org", SHOP_SELLER=Seller("", "", "")
)
class PlacesTests(ApiTestCase):
    def test_mails_greet_by_what_may_be_a_first_name_and_nothing_else(self):
        for name, words in (
            ("Ama", "Hello Ama,"),
            ("Ama Serwaa", "Hello Ama Serwaa,"),
            ("Anne-Marie", "Hello Anne-Marie,"),
            ("N'Golo", "Hello N'Golo,"),
            ("አበበ", "Hello አበበ,"),
            ("आरव", "Hello आरव,"),
            ("", "Hello,"),
            ("evil.example", "Hello,"),
            ("Call 0800", "Hello,"),
            ("You have won a prize", "Hello,"),
            ("ABCD-EFGH-JKLM-NPQR", "Hello,"),
            ("ABCDEFGHJKLMNPQR", "Hello,"),
            ("Ama\nBcc", "Hello,"),
        ):
            with self.subTest(name):
                self.assertEqual(messages.greeting(name), words)
        make_completed_transaction(user=make_customer(first_name="N'Golo"))
        mail.send_pending()
        (letter,) = outbox.outbox
        self.assertTrue(letter.body.startswith("Hello N'Golo,\n"))
        self.assertIn("Hello N&#x27;Golo,", html_of(letter))

    def test_mails_carry_the_name_and_lead_to_the_contact(self):
        make_completed_transaction(user=make_customer())
        mail.send_pending()
        (letter,) = outbox.outbox
        text, html = str(letter.body), html_of(letter)
        self.assertIn("Exams &lt;Online&gt;", html)
        self.assertIn("help@example.org", html)
        self.assertTrue(text.rstrip().endswith("-- \nExams <Online>\nhelp@example.org"), text)
        headers = letter.message()
        self.assertEqual(
            (headers["Auto-Submitted"], headers["Reply-To"]), ("auto-generated", "help@example.org")
        )
        self.assertNotIn("Voucher App", text + html)

    def test_mails_end_with_the_seller(self):
        seller = Seller("Exams & Co Ltd", "1 Main Street, Accra", "TIN C0001")
        with override_settings(SHOP_SELLER=seller):
            make_completed_transaction(user=make_customer())
        mail.send_pending()
        (letter,) = outbox.outbox
        self.assertTrue(
            str(letter.body).endswith("\nExams & Co Ltd, 1 Main Street, Accra\nTIN C0001\n"), letter.body
        )
        self.assertIn("Exams &amp; Co Ltd, 1 Main Street, Accra<br>\nTIN C0001", html_of(letter))

    def test_mails_show_the_logo_which_lies_in_them_and_is_small(self):
        folder = home() / "static"
        folder.mkdir(exist_ok=True)
        noise = Image.effect_noise((2000, 1000), 100).convert("RGB")
        for name, picture, size in (
            ("wide.jpg", noise, (80, 40)),
            ("long.png", Image.new("P", (2000, 20), 3), (240, 2)),
            ("tiny.png", Image.new("1", (8, 8)), (4, 4)),
        ):
            picture.save(folder / name)
            with self.subTest(name), override_settings(SHOP_LOGO=name, BASE_DIR=home()):
                outbox.outbox.clear()
                mail.enqueue(to="a@example.com", template=TEMPLATE, language=None, context={"change": "x"})
                mail.send_pending()
                (letter,) = outbox.outbox
                parts: list[Any] = list(letter.message().walk())
                self.assertEqual(
                    [part.get_content_type() for part in parts],
                    ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"],
                )
                self.assertEqual(parts[-1]["Content-ID"], "<logo@mail>")
                content = parts[-1].get_payload(decode=True)
                self.assertLess(len(content), 160_000)
                with Image.open(BytesIO(content)) as shown:
                    self.assertLessEqual((shown.width // 2, shown.height // 2), size)
                html = html_of(letter)
                self.assertIn('src="cid:logo@mail" alt="Exams &lt;Online&gt;"', html)
                self.assertIn(f'width="{size[0]}" height="{size[1]}"', html)

    def test_a_logo_that_is_gone_stops_no_mail(self):
        with override_settings(SHOP_LOGO="gone.png"):
            mail.enqueue(to="a@example.com", template=TEMPLATE, language=None, context={"change": "x"})
            self.assertEqual(mail.send_pending(), 1)
        self.assertNotIn("cid:", html_of(outbox.outbox[0]))

    def test_a_logo_that_is_being_replaced_stops_no_mail_and_no_printed_voucher(self):
        folder = home() / "static"
        folder.mkdir(exist_ok=True)
        whole = BytesIO()
        Image.effect_noise((300, 80), 50).convert("RGB").save(whole, "PNG")
        spoiled = bytearray(whole.getvalue())
        place = spoiled.index(b"IDAT")
        spoiled[place : place + 4] = b"\xb9922"  # of no kind of chunk: Pillow raises a SyntaxError
        paid = make_completed_transaction(user=make_customer())
        address = f"/api/vouchers/detail/{paid.vouchers[0].shown_code}/pdf/"
        for name, content in (("half.png", whole.getvalue()[:500]), ("broken.png", bytes(spoiled))):
            (folder / name).write_bytes(content)
            with self.subTest(name), override_settings(SHOP_LOGO=name, BASE_DIR=home()):
                Email.objects.all().delete()
                with self.assertLogs("apps.core.mail.parts", "WARNING"):
                    mail.enqueue(
                        to="a@example.com", template=TEMPLATE, language=None, context={"change": "x"}
                    )
                self.assertEqual(mail.send_pending(), 1)
                self.assertNotIn("cid:", html_of(outbox.outbox[-1]))
                self.assertEqual(self.signed_in(paid.user).get(address).status_code, 200)

    @override_settings(SHOP_CONTACT="+233 20 000 0000")
    def test_answers_go_to_no_telephone(self):
        make_completed_transaction(user=make_customer())
        mail.send_pending()
        self.assertNotIn("Reply-To", outbox.outbox[0].message())
        self.assertIn("+233 20 000 0000", outbox.outbox[0].body)

    def test_the_api_and_the_shop_carry_it(self):
        self.assertEqual(self.client.get("/api/").json()["name"], "Exams <Online> API")
        with override_settings(REFERENCE_SHOP=True):
            page = self.client.get("/").content.decode()
        self.assertIn('data-shop-name="Exams &lt;Online&gt;"', page)
        self.assertIn("<title>Exams &lt;Online&gt;</title>", page)

    def test_printed_vouchers_carry_name_and_logo(self):
        paid = make_completed_transaction(user=make_customer())
        code = paid.vouchers[0].shown_code
        api = self.signed_in(paid.user)
        address = f"/api/vouchers/detail/{code}/pdf/"
        plain = api.get(address).content
        folder = home() / "static"
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (40, 10), "green").save(folder / "logo.png")
        with override_settings(SHOP_LOGO="logo.png", BASE_DIR=home()):
            with_logo = api.get(address).content
        self.assertIn(b"/Subtype /Image", with_logo)
        self.assertNotIn(b"/Subtype /Image", plain)
