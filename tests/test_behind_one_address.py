"""What many people behind one address meet, in schools, in offices and at carriers, with the limits as they are."""

from django.conf import settings
from django.test import override_settings

from apps.authentication import services
from apps.users.models import User
from apps.users.tests.factories import PASSWORD, make_customer, make_user
from apps.vouchers.models import VoucherUsage
from apps.vouchers.tests.factories import make_type, make_voucher, unknown_code
from tests.support.cases import ApiTestCase

ADDRESS = "192.0.2.1"
LOGIN, REGISTER, REDEEM = "/api/auth/login/", "/api/auth/register/", "/api/vouchers/redeem/"
REFRESHES = 120  # of a session, a minute
DEFAULTS = {
    "LIMIT_LOGIN_PER_ACCOUNT": (10, 900),
    "LIMIT_LOGIN_PER_NETWORK": (300, 900),
    "LIMIT_LOGIN_ACCOUNTS_PER_NETWORK": (150, 900),
    "LIMIT_LOGIN_PER_DEVICE": (10, 900),
    "LIMIT_JUNK_TOKENS": (120, 60),
    "LIMIT_REFRESH": (REFRESHES, 60),
    "LIMIT_REGISTER": (600, 3600),
    "LIMIT_REGISTER_FAILURES": (300, 3600),
    "LIMIT_PASSWORD_RESET_PER_ACCOUNT": (5, 3600),
    "LIMIT_PASSWORD_RESET_PER_NETWORK": (300, 3600),
    "LIMIT_REDEEM_FAILURES_PER_ACCOUNT": (30, 900),
    "LIMIT_REDEEM_FAILURES_PER_NETWORK": (120, 900),
    "LIMIT_WIDE_NETWORK_TIMES": 4,
}


@override_settings(RATE_LIMITS_ENABLED=True)
class BehindOneAddress(ApiTestCase):
    def post(self, path, body, client=None, address=ADDRESS):
        return (client or self.api).post(path, body, REMOTE_ADDR=address)

    def sign_in(self, email, password=PASSWORD, address=ADDRESS):
        return self.post(LOGIN, {"email": email, "password": password}, address=address).status_code

    def test_these_are_the_limits(self):
        self.assertEqual({name: getattr(settings, name) for name in DEFAULTS}, DEFAULTS)

    def test_a_schools_lab_registers_two_hundred_pupils_at_once(self):
        password = {"password": "plums in the icebox", "password_confirm": "plums in the icebox"}
        for number in range(200):
            pupil = {"email": f"pupil{number}@example.com", "first_name": "Ama", "last_name": "Mensah"}
            self.assertEqual(self.post(REGISTER, pupil | password).status_code, 201, number)
        self.assertEqual(User.objects.count(), 200)

    def test_a_hundred_wrong_passwords_from_one_device_keep_no_neighbour_out(self):
        make_customer()
        for number in range(100):
            self.assertEqual(self.sign_in(f"victim{number // 10}@example.com", "wrong"), 401)
        self.assertEqual(self.sign_in("victim0@example.com", "wrong"), 429, "one account stays at ten")
        self.assertEqual(self.sign_in("carla@example.com"), 200)

    def test_so_many_unknown_codes_of_some_keep_no_neighbour_from_redeeming(self):
        guessers = [self.signed_in(make_user()) for _ in range(5)]
        for number in range(120):
            guess = self.post(REDEEM, {"code": unknown_code()}, guessers[number % 5])
            self.assertProblem(guess, 404, "voucher_not_found")
        neighbour = make_user()
        voucher = make_voucher(owner=neighbour)
        answer = self.post(REDEEM, {"code": voucher.code}, self.signed_in(neighbour))
        self.assertEqual(answer.status_code, 200, answer.content)
        for guesser in guessers:
            self.assertProblem(self.post(REDEEM, {"code": unknown_code()}, guesser), 429, "rate_limited")

    def test_the_sessions_of_a_carriers_customers_are_refreshed_whatever_one_of_them_does(self):
        def refresh(token):
            return self.post("/api/auth/token/refresh/", {"refresh": token})

        guilty, *others = [services.open_session(user=make_user()).refresh for _ in range(10)]
        for _ in range(REFRESHES):
            guilty = refresh(guilty).json()["refresh"]
        self.assertProblem(refresh(guilty), 429, "rate_limited")
        self.assertEqual({refresh(token).status_code for token in others}, {200})

    def test_a_desk_that_mistypes_one_code_in_five_goes_on(self):
        desk = self.signed_in(make_user())
        code = make_voucher(owner=make_user(), voucher_type=make_type(max_uses=200)).code
        wrong = code[:7] + ("A" if code[7] != "A" else "B") + code[8:]
        for number in range(250):
            answer = self.post(REDEEM, {"code": wrong if number % 5 == 4 else code}, desk)
            self.assertEqual(answer.status_code, 400 if number % 5 == 4 else 200, number)
        self.assertEqual(VoucherUsage.objects.count(), 200)

    def test_six_hundred_networks_of_one_48_guess_no_more_often_than_four(self):
        make_customer()
        answers = [
            self.sign_in("carla@example.com", "wrong", f"2001:db8:1:{number:x}::1") for number in range(600)
        ]
        self.assertEqual((answers.count(401), answers.count(429)), (40, 560))
        self.assertEqual(self.sign_in("carla@example.com", address="2001:db8:2::1"), 200)
