"""Pictures in a bucket: against a stand-in for S3 (moto) that is spoken to over HTTP."""

import logging
import socket
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from importlib.util import find_spec
from queue import Queue
from typing import Any, ClassVar
from unittest import skipUnless
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import urllib3
from django.conf import settings
from django.core.checks import Tags, run_checks
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import SimpleTestCase, override_settings, tag

from apps.core import health
from apps.users.models import UserProfile
from apps.users.tests.factories import make_customer, make_staff
from apps.users.tests.test_profile_picture import picture, upload
from tests.support.cases import ApiTestCase
from tests.support.server import free_port
from voucher_project.media_storage import media_storage

PROFILE = "/api/users/profile/"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIATEST0123456789AB", "AWS_SECRET_ACCESS_KEY": "s3cr3t" * 6}
BUCKET = "vouchers-media"


def in_bucket(endpoint, bucket=BUCKET, folder="/pictures"):
    """The settings of a bucket at this endpoint."""
    media = media_storage(f"s3://{bucket}{folder}?endpoint={endpoint}")
    return override_settings(
        STORAGES={**settings.STORAGES, "default": media.storage}, MEDIA_ORIGIN=media.origin, **KEYS
    )


@tag("any-database")
@skipUnless(find_spec("moto"), "requirements-dev.txt is not installed")
class BucketTestCase(ApiTestCase):
    endpoint: ClassVar[str]
    http: ClassVar[urllib3.PoolManager]
    storage: ClassVar[Any] = default_storage

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        from moto.server import ThreadedMotoServer

        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
        server.start()
        cls.addClassCleanup(server.stop)
        host, port = server.get_host_and_port()
        cls.endpoint = f"http://{host}:{port}"
        cls.http = urllib3.PoolManager()

    def setUp(self):
        super().setUp()
        self.http.request("POST", f"{self.endpoint}/moto-api/reset")
        bucket = in_bucket(self.endpoint)
        bucket.enable()
        self.addCleanup(bucket.disable)
        self.storage.connection.create_bucket(Bucket=BUCKET)
        self.customer = make_customer()
        self.api = self.signed_in(self.customer)

    def send(self, content, **rest):
        file = upload(content) if isinstance(content, bytes) else content
        with self.captureOnCommitCallbacks(execute=True):
            return self.api.patch(PROFILE, {"profile_picture": file, **rest}, format="multipart")

    def keys(self):
        """What is in the bucket, as whoever pays for it sees it."""
        client = self.storage.connection.meta.client
        return [one["Key"] for one in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    @contextmanager
    def away(self, fault):
        """The store is down, takes connections and never answers, answers errors, or has no such bucket."""
        with closing(socket.create_server(("127.0.0.1", 0))) as silent:
            port = free_port() if fault == "down" else silent.getsockname()[1]
            endpoint = self.endpoint if fault == "no bucket" else f"http://127.0.0.1:{port}"
            with (
                patch.multiple("apps.core.media_storage", CONNECT=0.2, READ=0.2, PROBE=0.2),
                in_bucket(endpoint, bucket="another" if fault == "no bucket" else BUCKET),
            ):
                yield silent


class PicturesInABucket(BucketTestCase):
    def test_a_picture_is_stored_read_replaced_and_removed(self):
        response = self.send(picture())
        self.assertEqual(response.status_code, 200, response.content)
        address = response.json()["profile_picture"]
        self.assertRegex(address, r"\Ahttp://testserver/media/profile-pictures/[0-9a-f]{32}\.png\Z")
        name = urlsplit(address).path.rpartition("/")[2]
        self.assertEqual(self.keys(), [f"pictures/profile-pictures/{name}"])

        sent_on = self.client_class().get(urlsplit(address).path)
        self.assertEqual(sent_on.status_code, 302)
        self.assertEqual(sent_on["Cache-Control"], "private, max-age=600")
        got = self.http.request("GET", sent_on["Location"])
        self.assertEqual((got.status, got.headers["Content-Type"]), (200, "image/png"))
        with UserProfile.objects.get(user=self.customer).profile_picture.open() as file:
            self.assertEqual(got.data, file.read())

        self.assertEqual(self.send(picture("JPEG")).status_code, 200)
        self.assertEqual(len(self.keys()), 1)
        self.assertTrue(self.keys()[0].endswith(".jpg"))
        self.assertEqual(self.http.request("GET", sent_on["Location"]).status, 404)

        self.assertIsNone(self.send("").json()["profile_picture"])
        self.assertEqual(self.keys(), [])

    def test_an_address_is_signed_for_a_while_and_the_bucket_is_private(self):
        address = urlsplit(self.send(picture()).json()["profile_picture"]).path
        signed = self.client_class().get(address)["Location"]
        query = parse_qs(urlsplit(signed).query)
        self.assertEqual(query["X-Amz-Algorithm"], ["AWS4-HMAC-SHA256"])
        self.assertEqual(query["X-Amz-Expires"], ["3600"])
        self.assertNotIn(KEYS["AWS_SECRET_ACCESS_KEY"], signed)
        self.assertTrue(signed.startswith(settings.MEDIA_ORIGIN + "/"))
        self.assertEqual(self.http.request("GET", signed.partition("?")[0]).status, 403)

    def test_its_own_address_leaves_it(self):
        self.send(picture())
        before = self.keys()
        profile = self.api.get(PROFILE).json()
        with self.captureOnCommitCallbacks(execute=True):
            self.assertEqual(self.api.put(PROFILE, profile).status_code, 200)
        self.assertEqual(self.keys(), before)

    def test_threads_share_one_connection(self):
        seen = []
        threads = [threading.Thread(target=lambda: seen.append(self.storage.connection)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len({id(one) for one in seen}), 1)

    def test_nothing_is_read_outside_the_folder(self):
        self.storage.connection.Object(BUCKET, "secret.txt").put(Body=b"SECRET")
        for path in ("/media/secret.txt", "/media/profile-pictures/../../secret.txt", "/media/"):
            self.assertEqual(self.client_class().get(path).status_code, 404)

    def test_pages_of_the_shop_may_show_what_they_are_sent_on_to(self):
        with override_settings(REFERENCE_SHOP=True):
            policy = self.client_class().get("/").headers["Content-Security-Policy"]
        self.assertIn(f"img-src 'self' data: blob: {settings.MEDIA_ORIGIN};", policy)

    def test_staff_see_the_stable_address(self):
        self.send(picture())
        staff = self.client_class()
        staff.force_login(make_staff(email="admin@example.com"))
        page = staff.get(f"/admin/users/user/{self.customer.pk}/change/").content.decode()
        self.assertIn('href="/media/profile-pictures/', page)
        self.assertNotIn("X-Amz", page)


class ABucketThatIsAway(BucketTestCase):
    FAULTS = ("down", "silent", "no bucket")

    def test_an_upload_is_unavailable_and_all_stays_as_it_was(self):
        self.send(picture())
        before = UserProfile.objects.get(user=self.customer).profile_picture.name, self.keys()
        for fault in self.FAULTS:
            with self.subTest(fault):
                with self.away(fault), self.assertLogs("apps.users.pictures", "ERROR") as logged:
                    response = self.send(picture("JPEG"), first_name="Changed")
                self.assertProblem(response, 503, "service_unavailable")
                self.assertNotIn(KEYS["AWS_SECRET_ACCESS_KEY"], str(logged.output))
                profile = UserProfile.objects.get(user=self.customer)
                self.assertEqual((profile.profile_picture.name, self.keys()), before)
                self.assertNotEqual(profile.user.first_name, "Changed")
        self.assertEqual(self.send(picture("JPEG")).status_code, 200)

    def test_a_picture_can_be_removed_from_the_profile(self):
        for fault in ("down", "silent"):
            with self.subTest(fault):
                self.send(picture())
                # What can't be deleted is left there: it has no address any more that anybody knows.
                with self.away(fault), self.assertLogs("django.test", "ERROR"):
                    response = self.send("")
                self.assertEqual(response.status_code, 200, response.content)
                self.assertIsNone(response.json()["profile_picture"])

    def test_the_rest_of_the_api_goes_on(self):
        address = urlsplit(self.send(picture()).json()["profile_picture"]).path
        with self.away("silent"):
            self.assertEqual(self.api.get(PROFILE).status_code, 200)
            self.assertEqual(self.client_class().get(address).status_code, 302)

    def test_a_store_that_hangs_holds_few_threads(self):
        answers: Queue[str] = Queue()
        module = "apps.core.media_storage"
        with self.away("silent") as silent, patch.multiple(module, PATIENCE=0.05, READ=60):
            threads = [threading.Thread(target=lambda: answers.put(self.outcome())) for _ in range(9)]
            for thread in threads:
                thread.start()
            for _ in range(6):  # who found no place; the others wait for the store
                self.assertIn("too many", answers.get(timeout=30))
            silent.close()
            for thread in threads:
                thread.join()
        self.assertEqual(answers.qsize(), 3)
        for _ in range(3):
            self.assertNotIn("too many", answers.get())

    @staticmethod
    def outcome():
        """What a thread hears that stores a file."""
        try:
            default_storage.save("a.png", ContentFile(b"x"))
        except OSError as error:
            return str(error)
        return "stored"

    def test_ready_and_the_checks_of_a_deployment_say_so(self):
        self.assertEqual(health.media(write=True), "ok")
        self.assertEqual(self.keys(), [])  # what the check wrote is gone
        for fault, state in (
            ("down", "not reachable"),
            ("silent", "not reachable"),
            ("no bucket", "not writable"),
        ):
            with self.subTest(fault), self.away(fault):
                response = self.api.get("/api/health/ready/")
                self.assertEqual(response.status_code, 200, response.content)  # no request needs pictures
                self.assertEqual(response.json()["checks"]["media"], state)
                warnings = [one for one in self.deploy_checks() if one.id == "core.W001"]
                self.assertIn(f"The bucket of MEDIA_STORAGE is {state}", warnings[0].msg)
        self.assertEqual([one for one in self.deploy_checks() if one.id == "core.W001"], [])

    def test_ready_is_asked_often_and_makes_its_client_once(self):
        with patch.object(self.storage, "_create_session", wraps=self.storage._create_session) as made:
            self.assertEqual([health.media() for _ in range(3)], ["ok"] * 3)
        self.assertEqual(made.call_count, 1)

    def test_a_bucket_that_takes_no_files_is_found_by_the_checks(self):
        with patch("storages.backends.s3.S3Storage._save", side_effect=OSError):
            self.assertEqual(health.media(), "ok")
            self.assertEqual(health.media(write=True), "not writable")

    def deploy_checks(self):
        return run_checks(tags=[Tags.files], include_deployment_checks=True)


class AddressTests(SimpleTestCase):
    def test_a_folder_or_a_bucket(self):
        folder = media_storage(" /var/lib/vouchers/media ")
        self.assertEqual((str(folder.folder), folder.origin), ("/var/lib/vouchers/media", ""))
        for text, place, origin, virtual_host in (
            (
                "s3://media?region=eu-central-1",
                "https://s3.eu-central-1.amazonaws.com",
                "https://media.s3.eu-central-1.amazonaws.com",
                True,
            ),
            (
                "s3://media/a/b/?endpoint=https://s3.example.com&region=auto",
                "https://s3.example.com",
                "https://s3.example.com",
                False,
            ),
        ):
            options = media_storage(text).storage["OPTIONS"]
            self.assertEqual((options["endpoint_url"], options["virtual_host"]), (place, virtual_host))
            self.assertEqual((options["bucket_name"], media_storage(text).origin), ("media", origin))

    def test_what_is_signed_is_at_the_origin(self):
        for text in ("s3://media?region=us-east-1", "s3://media?endpoint=https://s3.example.com:9000"):
            media = media_storage(text)
            with override_settings(
                STORAGES={**settings.STORAGES, "default": media.storage}, MEDIA_ORIGIN=media.origin, **KEYS
            ):
                storage: Any = default_storage
                self.assertTrue(storage.signed_url("a.png").startswith(media.origin + "/"))

    def test_anything_else_is_refused(self):
        for text in (
            "media",
            "s3://",
            "s3://media",
            "s3://media?endpoint=s3.example.com",
            "s3://media?endpoint=https://s3.example.com/path",
            "s3://media?region=eu central",
            "s3://media?region=eu-central-1&acl=public",
            "s3://key:secret@media?region=eu-central-1",
            "s3://Media?region=eu-central-1",
            "s3://media?region",
            "https://media.s3.amazonaws.com",
        ):
            with self.subTest(text), self.assertRaises(ValueError):
                media_storage(text)

    def test_a_folder_needs_nothing_of_the_bucket_s_library(self):
        code = (
            "import django, sys; django.setup(); from django.core.files.storage import default_storage as s; "
            "s.exists('x'); import voucher_project.urls; from apps.core import health; health.media(); "
            "print([name for name in sys.modules if name.startswith(('boto', 'storages', 's3transfer'))])"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code], cwd=settings.BASE_DIR, capture_output=True, text=True, check=True
        )
        self.assertEqual(ran.stdout.strip(), "[]")
