"""What a process does not load at its start, and that it is all there when it is used."""

from django.test import SimpleTestCase

from tests.support.configuration import result_of

UNUSED = (
    "requests",
    "cryptography.hazmat",
    "OpenSSL",
    "pyasn1",
    "cbor2",
    "xlsxwriter",
    "django.test",
    "unittest",
)

LOADED = f"""
import json, sys
import voucher_project.wsgi
print(json.dumps([name for name in {UNUSED} if name in sys.modules]))
"""

# The library's function, called through the module that took it at the start.
USED = """
import json, sys
import voucher_project.wsgi
from django_otp_webauthn import helpers, models
from webauthn.helpers.exceptions import InvalidAttestationObjectStructure
from webauthn.helpers.structs import AttestationObject
loaded_before = "cbor2" in sys.modules
empty = {"fmt": "none", "attStmt": {}, "authData": bytes(37)}
import cbor2
parsed = models.parse_attestation_object(cbor2.dumps(empty))
try:
    helpers.parse_attestation_object(b"")
except InvalidAttestationObjectStructure as error:
    refusal = type(error).__name__
from webauthn.helpers import parse_cbor
import webauthn.helpers.structs
import requests
print(json.dumps([
    loaded_before,
    isinstance(parsed, AttestationObject) and parsed.auth_data.sign_count == 0,
    refusal,
    "cryptography.hazmat" in sys.modules,
    webauthn.helpers.parse_cbor is parse_cbor and parse_cbor.__module__,
    len(helpers.generate_challenge()),
    requests.get.__module__,
]))
"""

# What stood in the place of Django's tests is gone, and they are there for who wants them.
TESTS = """
import json
import voucher_project.wsgi
from django.core import signals
from django.test import TestCase
from django.test.signals import setting_changed
from drf_spectacular import plumbing
from rest_framework.test import APIClient, APIRequestFactory
print(json.dumps([
    setting_changed is signals.setting_changed,
    TestCase.__module__,
    APIClient.__module__,
    isinstance(plumbing.APIRequestFactory(), APIRequestFactory),
]))
"""

# Two passkeys at once, the first of a process: each module takes names from the other while it is loaded.
USED_BY_TWO_THREADS = """
import json, sys
from threading import Barrier, Thread
import voucher_project.wsgi
from django_otp_webauthn import helpers
sys.setswitchinterval(1e-5)
both, wrong = Barrier(2), []
def use(function, **arguments):
    both.wait()
    try:
        function(**arguments)
    except Exception as error:
        wrong.append(repr(error))
options = {"rp_id": "example.com", "rp_name": "Shop", "user_name": "ama"}
threads = [
    Thread(target=use, args=(helpers.generate_registration_options,), kwargs=options),
    Thread(target=use, args=(helpers.generate_challenge,)),
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
helpers.generate_registration_options(**options)
print(json.dumps(wrong))
"""

FAILED_ONCE = """
import json, sys
import voucher_project.wsgi
from django_otp_webauthn import models
sys.modules["cbor2"] = None
try:
    models.parse_attestation_object(b"")
except ImportError as error:
    refusal = type(error).__name__
del sys.modules["cbor2"]
import cbor2
parsed = models.parse_attestation_object(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": bytes(37)}))
print(json.dumps([refusal, parsed.fmt]))
"""


class LeanStartTests(SimpleTestCase):
    def test_a_web_process_starts_without_what_it_hardly_ever_uses(self) -> None:
        self.assertEqual(result_of(LOADED), [])

    def test_what_checks_passkeys_is_loaded_when_it_is_called(self) -> None:
        self.assertEqual(
            result_of(USED),
            [
                False,
                True,
                "InvalidAttestationObjectStructure",
                True,
                "webauthn.helpers.parse_cbor",
                64,
                "requests.api",
            ],
        )

    def test_django_s_tests_are_there_for_who_imports_them(self) -> None:
        modules = ["django.test.testcases", "rest_framework.test"]
        self.assertEqual(result_of(TESTS), [True, *modules, True])

    def test_two_threads_may_be_the_first_to_check_a_passkey(self) -> None:
        self.assertEqual(result_of(USED_BY_TWO_THREADS), [])

    def test_what_could_not_be_loaded_is_loaded_by_the_next_call(self) -> None:
        self.assertEqual(result_of(FAILED_ONCE), ["ModuleNotFoundError", "none"])
