"""GET /api/payments/transaction/<id>/vouchers/pdf/"""

from importlib.util import find_spec
from unittest import skipUnless

from apps.payments.tests.factories import make_completed_transaction, make_transaction
from apps.users.tests.factories import make_customer, make_other_customer, make_staff
from apps.vouchers import qr
from apps.vouchers import services as voucher_services
from apps.vouchers.tests.factories import make_type
from tests.support.cases import ApiTestCase

READS_PDF = skipUnless(find_spec("pypdfium2") and find_spec("zxingcpp"), "comes with requirements-dev.txt")
# Paper, its pages for ten vouchers, and its width in points.
PAPERS = (("a5", 10, 595), ("a4", 2, 595), ("letter", 2, 612), ("80mm", 10, 227))


class VouchersPdfTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_customer()
        self.api = self.signed_in(self.owner)

    def get(self, paid, query="", api=None):
        return (api or self.api).get(f"/api/payments/transaction/{paid.pk}/vouchers/pdf/{query}")

    @READS_PDF
    def test_all_of_a_purchase_are_printed_in_their_order_on_any_paper_and_can_be_scanned(self):
        from tests.support.paper import links_in, marks_of, pages_of, text_of

        kind = make_type(name="Vérification des résultats d'examen " * 4, max_uses=12)
        paid = make_completed_transaction(user=self.owner, voucher_type=kind, quantity=10)
        codes = [voucher.shown_code for voucher in paid.vouchers]
        links = {qr.redeem_url(voucher.code) for voucher in paid.vouchers}
        for paper, number, width in PAPERS:
            with self.subTest(paper):
                response = self.get(paid, f"?paper={paper}")
                self.assertEqual(response.status_code, 200)
                printed = response.content
                places = [text_of(printed).index(code) for code in codes]
                self.assertEqual(places, sorted(places))
                pages = pages_of(printed)
                self.assertEqual(len(pages), number)
                self.assertAlmostEqual(pages[0].width * 72 / 150, width, delta=1)
                scanned = {link for page in pages for link in links_in(page)}
                self.assertEqual(scanned, links)
                height = pages[0].height * 72 / 150
                for _, (left, bottom, right, top) in marks_of(printed):
                    self.assertGreater(min(left, bottom), -1)
                    self.assertLess(right, width + 1)
                    self.assertLess(top, height + 1)

    @READS_PDF
    def test_one_that_cannot_be_redeemed_is_among_them_and_says_so(self):
        from tests.support.paper import links_in, pages_of, text_of

        paid = make_completed_transaction(user=self.owner, quantity=2)
        first = paid.vouchers[0]
        voucher_services.suspend_vouchers([first.pk], actor=make_staff(), reason="x")
        for paper, *_ in PAPERS:
            printed = self.get(paid, f"?paper={paper}").content
            self.assertIn("NOT VALID", text_of(printed))
            links = [link for page in pages_of(printed) for link in links_in(page)]
            self.assertEqual(links, [qr.redeem_url(paid.vouchers[1].code)])

    def test_it_is_a_file_to_save_a_page_each_unless_told(self):
        paid = make_completed_transaction(user=self.owner, quantity=3)
        with self.assertQueries(3):  # who asks, the transaction, its vouchers
            response = self.get(paid)
        disposition = f'attachment; filename="vouchers-{paid.pk}.pdf"'
        self.assertEqual(response.headers["Content-Disposition"], disposition)
        self.assertEqual(response.headers["Cache-Control"], "private, no-store")
        self.assertEqual(len(response.content) // 100, len(self.get(paid, "?paper=a5").content) // 100)

    def test_another_paper_is_refused(self):
        paid = make_completed_transaction(user=self.owner)
        for paper in ("a3", "A5", "a5%00"):
            response = self.get(paid, f"?paper={paper}")
            self.assertEqual(response.status_code, 400, paper)

    def test_only_what_is_ones_own_and_paid(self):
        paid = make_completed_transaction(user=self.owner)
        for other in (make_other_customer(), make_staff()):
            response = self.get(paid, api=self.signed_in(other))
            self.assertProblem(response, 404, "transaction_not_found")
            self.assertNotIn(paid.vouchers[0].code, response.content.decode())
        self.assertProblem(self.get(paid, api=self.client), 401, "not_authenticated")
        self.assertProblem(self.get(make_transaction(user=self.owner)), 409, "not_paid")
