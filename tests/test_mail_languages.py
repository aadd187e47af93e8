"""Mails in two languages: every one exists in both, says the same, and is written in that of its person."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.template import engines
from django.template.base import Node, VariableNode
from django.template.defaulttags import IfNode
from django.template.loader import get_template
from django.template.loader_tags import BlockNode, IncludeNode
from django.test import SimpleTestCase
from post_office.models import Email

from apps.authentication import password_reset_links
from apps.core.languages import Language
from apps.payments import services as payments
from apps.payments.models import Transaction
from apps.payments.tests.money import PaidTestCase
from apps.users import email_changes, email_confirmation, email_links
from apps.users.models import EmailChange, User
from apps.users.tests.factories import make_user
from apps.vouchers import services as vouchers
from apps.vouchers.models import Voucher
from tests.support.cases import ApiTestCase

ROOT = Path(__file__).resolve().parent.parent
OTHERS = [language for language in Language if language != Language.EN]
# What words in both languages have in common.
SAME = {"Total"}
# Words of which no French sentence has one.
ENGLISH = re.compile(
    r"\b(the|you|your|was|were|that|this|these|and|of|been|has|have|with|use[ds]?|until)\b", re.I
)


def mails() -> list[str]:
    """The templates of words of all mails to customers, by their English names."""
    folders = ROOT.glob("apps/*/templates/*/mail/en/*.html")
    return sorted(str(path).partition("/templates/")[2] for path in folders)


def tree_of(name: str) -> Any:
    """The nodes of a template."""
    template: Any = get_template(name)
    return template.template.nodelist


def nodes(tree: Any) -> list[Node]:
    """All nodes of a template, also those of what it includes."""
    every = list(tree.get_nodes_by_type(Node))
    for node in list(every):
        if isinstance(node, IncludeNode):
            every += nodes(tree_of(node.template.var))
    return every


def variables(block: BlockNode) -> set[str]:
    """The names that a block uses: what it shows, and what it depends on."""
    names = set()
    for node in nodes(block.nodelist):
        if isinstance(node, VariableNode):
            names.add(str(node.filter_expression.var))
        if isinstance(node, IfNode):
            for condition, _ in node.conditions_nodelists:
                names |= operands(condition)
    return names


def operands(condition: Any) -> set[str]:
    """The names in the condition of an `if`."""
    if condition is None:
        return set()
    if (value := getattr(condition, "value", None)) is not None:
        return {str(value.var)}
    return operands(getattr(condition, "first", None)) | operands(getattr(condition, "second", None))


def blocks(name: str) -> dict[str, BlockNode]:
    """The blocks of words of a template."""
    tree = tree_of(name)
    return {node.name: node for node in tree.get_nodes_by_type(BlockNode)}


def sentences(name: str) -> set[str]:
    """The words of a template, without tags, piece by piece."""
    template: Any = get_template(name)
    source = template.template.source
    pieces = re.split(r"\{[{%].*?[}%]\}", source, flags=re.S)
    return {text for piece in pieces if re.search(r"[^\W\d]{2}", text := " ".join(piece.split()))}


class WordsTests(SimpleTestCase):
    def test_there_are_mails_and_each_is_in_every_language(self):
        self.assertGreater(len(mails()), 12)
        for language in OTHERS:
            folders = ROOT.glob(f"apps/*/templates/*/mail/{language}/*.html")
            names = {str(path).partition("/templates/")[2] for path in folders}
            self.assertEqual(names, {name.replace("/en/", f"/{language}/") for name in mails()})

    def test_each_language_has_the_same_blocks_with_the_same_variables(self):
        for name in mails():
            for language in OTHERS:
                other = name.replace("/en/", f"/{language}/")
                with self.subTest(other):
                    ours, theirs = blocks(name), blocks(other)
                    self.assertEqual(ours.keys(), theirs.keys())
                    for part in ours:
                        self.assertEqual(variables(ours[part]), variables(theirs[part]), part)

    def test_no_words_of_one_stand_in_another(self):
        for name in mails():
            for language in OTHERS:
                other = name.replace("/en/", f"/{language}/")
                with self.subTest(other):
                    self.assertLessEqual(sentences(name) & sentences(other), SAME)
                    english = [text for text in sentences(other) if ENGLISH.search(text)]
                    self.assertEqual(english, [])

    def test_each_language_takes_the_parts_of_its_own(self):
        for path in ROOT.glob("apps/*/templates/*/mail/*/*.html"):
            parts = re.findall(r'"\w+/mail/(\w+)/', path.read_text())
            self.assertLessEqual(set(parts), {path.parent.name}, path)

    def test_control_the_comparison_sees_what_a_block_says_and_depends_on(self):
        read = engines["django"].from_string
        block = "{% block x %}{% if a == 1 and not b %}{{ c }}{% elif d.e %}{{ f|date:'j' }}{% endif %}{% endblock %}"
        (node,) = read(block).template.nodelist.get_nodes_by_type(BlockNode)  # type: ignore[attr-defined]
        self.assertLessEqual({"a", "b", "c", "d.e", "f"}, variables(node))
        self.assertTrue(ENGLISH.search("Vos bons: use the code"))


class WrittenTests(PaidTestCase, ApiTestCase):
    """A person whose language is French, and who is nowhere near when mails are written."""

    def setUp(self):
        super().setUp()
        User.objects.filter(pk=self.customer.pk).update(language=Language.FR, first_name="Ama")

    def assertFrench(self, email):
        for text in (
            email.subject,
            email.message,
            re.sub(r"(?s)<head>.*?</head>|<[^>]*>", " ", email.html_message),
        ):
            words = text.replace(self.type.name, "")
            self.assertIsNone(ENGLISH.search(words), words)
            self.assertNotRegex(words, r"\{[{%]")
        self.assertIn('<html lang="fr">', email.html_message)
        self.assertTrue(email.message.startswith("Bonjour"), email.message)

    def test_what_webhooks_report_is_in_french(self):
        intent_id = self.start(2).json()["payment_intent_id"]
        self.stripe.pay(intent_id, "pm_card_createDispute")
        self.deliver_all("payment_intent.succeeded")
        self.deliver_all("charge.dispute.created")
        for dispute in self.stripe.disputes(intent_id):
            self.stripe.close_dispute(dispute["id"], "lost")
        self.deliver_all("charge.dispute.closed")
        receipt = Email.objects.get(subject=f"Vos bons\N{NO-BREAK SPACE}: 2 × {self.type.name}")
        others = Email.objects.exclude(pk=receipt.pk).order_by("id")
        self.assertIn("Bonjour Ama,", receipt.message)
        self.assertIn("20.00\N{NO-BREAK SPACE}USD", receipt.message)
        self.assertEqual(
            [email.subject for email in others],
            ["Votre banque nous interroge sur un paiement", "La question de votre banque est réglée"],
        )
        for email in (receipt, *others):
            self.assertFrench(email)

    def test_days_and_months_have_their_french_names(self):
        paid = self.buy(1)
        Transaction.objects.update(completed_at=datetime(2027, 3, 1, 12, tzinfo=UTC))
        Voucher.objects.update(expiry_date=datetime(2028, 8, 9, 12, tzinfo=UTC))
        payments.queue_receipt(Transaction.objects.get(pk=paid.pk))
        email = Email.objects.latest("id")
        self.assertIn("1 mars 2027 à 12:00 UTC", email.message)
        self.assertIn("Valable jusqu\N{RIGHT SINGLE QUOTATION MARK}au 9 août 2028", email.message)

    def test_refunds_are_told_in_french_whatever_the_member_of_staff_speaks(self):
        self.staff.language = Language.EN
        self.staff.save(update_fields=["language"])
        self.refund(self.buy(1))
        for email in Email.objects.filter(to=self.customer.email):
            self.assertFrench(email)
        self.assertEqual(Email.objects.latest("id").subject, "Votre remboursement a été effectué")

    def test_other_mails_are_in_french_too(self):
        self.buy(1)
        voucher = Voucher.objects.get()
        vouchers.reissue_voucher(voucher_id=voucher.pk, actor=self.staff, reason="Lost")
        password_reset_links.send(User.objects.get(pk=self.customer.pk))
        vouchers.send_expiry_reminders(now=voucher.expiry_date.replace(hour=0, minute=5))
        subjects = []
        for email in Email.objects.order_by("id")[1:]:
            self.assertFrench(email)
            subjects.append(email.subject.partition(" le ")[0])
        self.assertEqual(
            subjects, ["Votre bon a un nouveau code", "Choisir un nouveau mot de passe", "Votre bon expire"]
        )

    def test_mails_about_the_address_are_in_french_too(self):
        User.objects.filter(pk=self.customer.pk).update(email_confirmed_at=None)
        self.buy(1)
        vouchers.reissue_voucher(voucher_id=Voucher.objects.get().pk, actor=self.staff, reason="Lost")
        make_user(email="taken@example.com", language=Language.FR)
        customer = User.objects.get(pk=self.customer.pk)
        email_confirmation.send_link(customer)
        email_changes.request_email_change(user=customer, new_email="taken@example.com")
        email_changes.request_email_change(user=customer, new_email="ama@example.com")
        change = EmailChange.objects.get()
        link = email_links.change_url(change.pk)
        email_changes.confirm_email_change(token=link.partition("#token=")[2])
        emails = list(Email.objects.order_by("id"))
        self.assertEqual(len({email.subject for email in emails}), 10)
        for email in emails:
            self.assertFrench(email)

    def test_a_mail_is_in_the_language_of_when_it_was_written(self):
        self.buy(1)
        self.api.patch("/api/users/profile/", {"language": "en"})
        self.assertTrue(Email.objects.get().message.startswith("Bonjour"))
        self.buy(1)
        self.assertTrue(Email.objects.latest("id").message.startswith("Hello"))

    def test_staff_are_written_to_in_english_whatever_their_language(self):
        User.objects.filter(pk=self.staff.pk).update(language=Language.FR)
        refund = self.refund(self.buy(1, "pm_card_pendingRefund"))
        self.stripe.settle_refund(refund.stripe_refund_id, "failed")
        payments.sync_refund(refund.stripe_refund_id)
        mail = Email.objects.filter(to=self.staff.email).latest("id")
        self.assertEqual(mail.subject, f"Refund {refund.pk} failed")
        self.assertIn("Hello,", mail.message)

    def test_a_language_that_a_later_version_wrote_is_english_to_this_one(self):
        User.objects.filter(pk=self.customer.pk).update(language="pt")
        self.buy(1)
        self.assertTrue(Email.objects.get().message.startswith("Hello Ama,"))
