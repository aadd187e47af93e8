import socket
import uuid
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import LiveServerTestCase, override_settings

from apps.authentication import services
from apps.users.models import User
from apps.users.tests.factories import make_customer
from apps.users.tests.test_profile_picture import files, picture, remove_files, upload
from tests.support.cases import ApiTestCase
from tests.support.flush import FastFlushTestCase

PROFILE = "/api/users/profile/"
FOLDER = "/media/profile-pictures/"


class ServingPictures(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(remove_files)
        remove_files()

    def uploaded(self, kind):
        """The address of a new picture of the customer's."""
        api = self.signed_in(make_customer(email=f"{kind}@example.com"))
        response = api.patch(PROFILE, {"profile_picture": upload(picture(kind))}, format="multipart")
        self.assertEqual(response.status_code, 200, response.content)
        return response.json()["profile_picture"]

    def test_the_address_in_the_profile_gives_the_picture(self):
        for debug in (True, False):
            for kind, extension in (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")):
                with self.subTest(kind, debug=debug), override_settings(DEBUG=debug):
                    address = urlsplit(self.uploaded(kind).lower())
                    self.assertRegex(address.path, rf"\A{FOLDER}[0-9a-f]{{32}}\.{extension}\Z")
                    response = self.client_class().get(address.path)
                    self.assertEqual(response.status_code, 200)
                    self.assertEqual(response["Content-Type"], f"image/{kind.lower()}")
                    self.assertEqual(response["X-Content-Type-Options"], "nosniff")
                    self.assertEqual(response["Cache-Control"], "public, max-age=86400, immutable")
                    with default_storage.open(address.path.removeprefix("/media/")) as file:
                        self.assertEqual(response.getvalue(), file.read())
                    (settings.MEDIA_ROOT / address.path.removeprefix("/media/")).unlink()
                    User.objects.all().delete()

    def test_nothing_else_is_served(self):
        name = uuid.uuid4().hex
        default_storage.save("secret.txt", ContentFile(b"SECRET"))
        default_storage.save(f"profile-pictures/{name}.svg", ContentFile(b"SECRET"))
        default_storage.save(f"profile-pictures/{name}.png.html", ContentFile(b"SECRET"))
        default_storage.save("profile-pictures/me.png", ContentFile(b"SECRET"))
        Path(settings.MEDIA_ROOT, "profile-pictures", f"{'0' * 32}.png").mkdir()
        self.addCleanup(Path(settings.MEDIA_ROOT, "profile-pictures", f"{'0' * 32}.png").rmdir)
        self.addCleanup(default_storage.delete, "secret.txt")
        for debug in (True, False):
            for path in (
                "/media/",
                "/media/secret.txt",
                FOLDER,
                f"{FOLDER}{name}.png",
                f"{FOLDER}{name}.svg",
                f"{FOLDER}{name}.png.html",
                f"{FOLDER}{name.upper()}.png",
                f"{FOLDER}me.png",
                f"{FOLDER}{'0' * 32}.png",
                f"{FOLDER}{name}.png%0a",
                f"{FOLDER}{name}.png/",
                f"{FOLDER}../secret.txt",
                f"{FOLDER}..%2fsecret.txt",
                f"{FOLDER}%2e%2e/secret.txt",
                f"{FOLDER}%252e%252e%252fsecret.txt",
                f"{FOLDER}../../manage.py",
                f"{FOLDER}/etc/passwd",
                f"{FOLDER}%00",
                f"{FOLDER}{name}%00.png",
                "/media//etc/passwd",
                "/media/..%2fdb.sqlite3",
            ):
                with self.subTest(path, debug=debug), override_settings(DEBUG=debug):
                    response = self.client_class().get(path)
                    self.assertEqual(response.status_code, 404)
                    self.assertNotIn(b"SECRET", response.content)

    def test_it_is_only_read(self):
        path = urlsplit(self.uploaded("PNG")).path
        for method in ("post", "put", "patch", "delete"):
            self.assertEqual(getattr(self.client_class(), method)(path).status_code, 405)
        self.assertEqual(self.client_class().head(path).status_code, 200)
        self.assertEqual(len(files()), 1)


class TooLargeAnUpload(FastFlushTestCase, LiveServerTestCase):
    def answer_to(self, head, body=b""):
        """What the server answers to a request of which no more than this is ever sent."""
        parts = urlsplit(self.live_server_url)
        with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
            connection.sendall(head.encode() + b"\r\n\r\n" + body)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
                if b"\r\n\r\n" in answer and b"}" in answer:
                    break
        return answer.decode()

    def test_it_is_refused_before_its_body_is_read(self):
        token = services.open_session(user=make_customer()).access
        head = (
            "PATCH /api/users/profile/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: {{length}}\r\nContent-Type: {{kind}}"
        )
        for kind, length in (
            ("multipart/form-data; boundary=x", 6 * 1024 * 1024),
            ("multipart/form-data; boundary=x", 50 * 1024 * 1024),
            ("application/json", 257 * 1024),
        ):
            with self.subTest(kind, length=length):
                answer = self.answer_to(head.format(length=length, kind=kind), b"--x\r\n")
                self.assertTrue(answer.startswith("HTTP/1.1 413 "), answer)
                self.assertIn('"code": "body_too_large"', answer)
