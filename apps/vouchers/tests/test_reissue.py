"""A new code in place of an old one: only who owns the voucher learns it."""

from apps.users.tests.factories import make_customer, make_other_customer, make_staff
from apps.vouchers import codes, services
from apps.vouchers.models import Voucher
from apps.vouchers.tests.factories import make_type, make_voucher
from tests.support.cases import ApiTestCase

REDEEM = "/api/vouchers/redeem/"
USES = "/api/vouchers/usage-history/"


class ReissueTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_customer()
        self.voucher = make_voucher(owner=self.owner, voucher_type=make_type(max_uses=5))
        self.old = self.voucher.shown_code
        self.finder = self.signed_in(make_other_customer())  # who saw the old code somewhere
        self.mine = self.signed_in(self.owner)
        for api, key in ((self.finder, "theirs"), (self.mine, "mine")):
            api.post(REDEEM, {"code": self.old}, HTTP_IDEMPOTENCY_KEY=key)

    def reissue(self):
        services.reissue_voucher(voucher_id=self.voucher.pk, actor=make_staff(), reason="Seen by others")
        self.voucher = Voucher.objects.get(pk=self.voucher.pk)
        return self.voucher.shown_code

    def codes_in_history(self, api):
        return {row["voucher_code"] for row in api.get(USES).json()["results"]}

    def test_until_then_who_redeemed_a_voucher_reads_its_code(self):
        self.assertEqual(self.codes_in_history(self.finder), {self.old})

    def test_the_old_code_is_unknown_and_the_new_one_works(self):
        new = self.reissue()
        self.assertProblem(self.mine.post(REDEEM, {"code": self.old}), 404, "voucher_not_found")
        self.assertEqual(self.mine.post(REDEEM, {"code": new}).status_code, 200)

    def test_nothing_tells_the_new_code_to_who_used_the_old_one(self):
        new = self.reissue()
        self.assertEqual(self.codes_in_history(self.finder), {codes.HIDDEN})
        again = self.finder.post(REDEEM, {"code": self.old}, HTTP_IDEMPOTENCY_KEY="theirs")
        self.assertEqual(again.json()["voucher"]["code"], self.old)
        answers = [self.finder.get(address).content for address in (USES, "/api/users/export/")]
        for text in (*answers, again.content):
            self.assertNotIn(new[:14].encode(), text)
            self.assertNotIn(codes.parse(new).encode(), text)

    def test_the_owner_reads_the_new_code_everywhere(self):
        new = self.reissue()
        self.assertEqual(self.codes_in_history(self.mine), {new})
        exported = self.mine.get("/api/users/export/").json()
        self.assertEqual({row["voucher_code"] for row in exported["usages"]}, {new})

    def test_it_takes_no_query_more_than_before(self):
        self.reissue()
        with self.assertQueries(2):
            self.mine.get(USES)
