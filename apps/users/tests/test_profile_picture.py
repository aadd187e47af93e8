import errno
import struct
import tracemalloc
import warnings
import zlib
from contextlib import contextmanager
from io import BytesIO, FileIO
from tempfile import NamedTemporaryFile
from unittest import mock

from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image, PngImagePlugin

from apps.users import pictures
from apps.users.models import UserProfile
from apps.users.tests.factories import make_customer
from tests.support.cases import ApiTestCase, RaceTestCase

URL = "/api/users/profile/"


def picture(kind="PNG", size=(40, 20), mode="RGB", colour="red", **options):
    """The bytes of a picture of one colour."""
    stream = BytesIO()
    Image.new(mode, size, colour).save(stream, kind, **options)
    return stream.getvalue()


def bomb(width, height):
    """A small PNG of enormous dimensions."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def upload(content, name="me.png", kind="image/png"):
    return SimpleUploadedFile(name, content, kind)


def files():
    """The names of all stored pictures."""
    try:
        return sorted(default_storage.listdir(pictures.FOLDER)[1])
    except FileNotFoundError:
        return []


def remove_files():
    for name in files():
        default_storage.delete(f"{pictures.FOLDER}/{name}")


class FullDisk(FileIO):
    """A file that takes half of what is written to it."""

    def write(self, content):
        super().write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")


class ProfilePictures(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(remove_files)
        remove_files()
        self.customer = make_customer()
        self.api = self.signed_in(self.customer)

    def send(self, content, method="patch", **rest):
        file = content if isinstance(content, SimpleUploadedFile | str) else upload(content)
        with self.captureOnCommitCallbacks(execute=True):
            return getattr(self.api, method)(URL, {"profile_picture": file, **rest}, format="multipart")

    def stored(self):
        """The stored picture."""
        with UserProfile.objects.get(user=self.customer).profile_picture.open() as file:
            image = Image.open(BytesIO(file.read()))
            image.load()
            return image

    def assertRefused(self, content, code):
        before = UserProfile.objects.get(user=self.customer).profile_picture.name, files()
        document = self.assertProblem(self.send(content), 400, "validation_error")
        self.assertEqual([error["code"] for error in document["errors"]["profile_picture"]], [code])
        self.assertEqual((UserProfile.objects.get(user=self.customer).profile_picture.name, files()), before)

    def test_it_takes_jpeg_png_and_webp(self):
        for kind, extension in (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")):
            with self.subTest(kind):
                response = self.send(upload(picture(kind), "../../holiday.exe", "text/plain"))
                self.assertEqual(response.status_code, 200, response.content)
                address = response.json()["profile_picture"]
                self.assertRegex(
                    address, rf"\Ahttp://testserver/media/profile-pictures/[0-9a-f]{{32}}\.{extension}\Z"
                )
                self.assertEqual(self.api.get(URL).json()["profile_picture"], address)
                self.assertEqual((self.stored().format, self.stored().size), (kind, (40, 20)))

    def test_it_comes_with_other_fields_in_one_form(self):
        response = self.send(picture(), "put", first_name="Clara", last_name="Client", date_of_birth="")
        self.assertEqual(response.status_code, 200, response.content)
        self.assertEqual(response.json()["full_name"], "Clara Client")
        self.assertTrue(response.json()["profile_picture"])

    def test_where_nothing_can_be_stored_it_is_unavailable_and_all_stays_as_it_was(self):
        self.send(picture())
        before = UserProfile.objects.get(user=self.customer).profile_picture.name, files()
        for fault in ("folder", "full disk"):
            with self.subTest(fault), self.cannot_store(fault):
                response = self.send(picture("JPEG"), first_name="Changed")
                self.assertProblem(response, 503, "service_unavailable")
                self.assertGreater(int(response.headers["Retry-After"]), 0)
            profile = UserProfile.objects.get(user=self.customer)
            self.assertEqual((profile.profile_picture.name, files()), before)
            self.assertNotEqual(profile.user.first_name, "Changed")
        self.assertEqual(self.send(picture("JPEG")).status_code, 200)

    @contextmanager
    def cannot_store(self, fault):
        """The folder of pictures can't be written to (root may write anywhere, so it is none), or the disk is full."""
        if fault == "folder":
            with NamedTemporaryFile() as file, self.settings(MEDIA_ROOT=file.name):
                yield
        else:
            with mock.patch("django.core.files.storage.filesystem.os.fdopen", FullDisk):
                yield

    def test_the_one_before_goes(self):
        self.send(picture())
        first = files()
        self.send(picture("JPEG"))
        self.assertEqual(len(files()), 1)
        self.assertNotEqual(files(), first)

    def test_null_or_nothing_removes_it(self):
        for remove in (
            lambda: self.api.patch(URL, {"profile_picture": None}),
            lambda: self.api.patch(URL, {"profile_picture": ""}),
            lambda: self.api.patch(URL, {"profile_picture": ""}, format="multipart"),
        ):
            self.send(picture())
            self.assertEqual(len(files()), 1)
            with self.captureOnCommitCallbacks(execute=True):
                response = remove()
            self.assertEqual(response.status_code, 200, response.content)
            self.assertIsNone(response.json()["profile_picture"])
            self.assertEqual(files(), [])

    def test_other_changes_and_its_own_address_leave_it(self):
        self.send(picture())
        before = files()
        profile = self.api.get(URL).json()
        with self.captureOnCommitCallbacks(execute=True):
            self.assertEqual(self.api.patch(URL, {"first_name": "Clara"}).status_code, 200)
            self.assertEqual(self.api.put(URL, profile).status_code, 200)
        self.assertEqual(files(), before)
        self.assertEqual(self.api.get(URL).json()["profile_picture"], profile["profile_picture"])

    def test_metadata_and_all_else_that_is_no_pixel_is_dropped(self):
        exif = Image.Exif()
        exif[0x0110] = "SECRET CAMERA"
        exif[0x8825] = {1: "N", 2: (1.0, 2.0, 3.0)}
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", "SECRET TEXT")
        samples = [
            picture("JPEG", exif=exif, comment=b"SECRET COMMENT", icc_profile=b"SECRET PROFILE"),
            picture("PNG", exif=exif, pnginfo=text, icc_profile=b"SECRET PROFILE"),
            picture("WEBP", exif=exif, xmp=b"SECRET XMP", icc_profile=b"SECRET PROFILE"),
            picture("JPEG") + b"SECRET <script>alert(1)</script>",
            picture("PNG") + b"PK\x03\x04 SECRET archive",
        ]
        for sample in samples:
            self.assertIn(b"SECRET", sample)
            self.assertEqual(self.send(sample).status_code, 200)
            with UserProfile.objects.get().profile_picture.open() as file:
                self.assertNotIn(b"SECRET", file.read())
            self.assertFalse(dict(self.stored().getexif()))

    def test_it_stands_upright(self):
        exif = Image.Exif()
        exif[0x0112] = 6
        self.send(picture("JPEG", size=(40, 20), exif=exif))
        self.assertEqual(self.stored().size, (20, 40))

    def test_it_takes_every_kind_of_pixel(self):
        for kind, modes in {
            "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
            "JPEG": ("L", "RGB", "CMYK"),
            "WEBP": ("RGB", "RGBA"),
        }.items():
            for mode in modes:
                with self.subTest(kind=kind, mode=mode):
                    response = self.send(
                        picture(kind, mode=mode, colour=0 if mode != "CMYK" else (0, 0, 0, 0))
                    )
                    self.assertEqual(response.status_code, 200, response.content)
        self.send(picture("PNG", mode="RGBA", colour=(10, 20, 30, 40)))
        self.assertEqual(self.stored().getpixel((0, 0)), (10, 20, 30, 40))

    def test_only_the_first_of_many_frames_is_kept(self):
        frames = [Image.new("RGB", (10, 10), colour) for colour in ("red", "green", "blue")]
        for kind in ("PNG", "WEBP"):
            stream = BytesIO()
            frames[0].save(stream, kind, save_all=True, append_images=frames[1:])
            self.assertEqual(self.send(stream.getvalue()).status_code, 200)
            self.assertEqual(getattr(self.stored(), "n_frames", 1), 1)

    def test_it_takes_the_first_picture_of_a_phones_multi_picture_jpeg(self):
        stream = BytesIO()
        more = [Image.new("RGB", (40, 20), "blue")]
        Image.new("RGB", (40, 20), "red").save(stream, "MPO", save_all=True, append_images=more)
        response = self.send(stream.getvalue())
        self.assertEqual(response.status_code, 200, response.content)
        self.assertEqual((self.stored().format, files()[0][-4:]), ("JPEG", ".jpg"))

    def test_while_too_many_are_decoded_one_waits_and_is_then_told_to_come_back(self):
        with mock.patch.object(pictures, "PATIENCE", 0.01), pictures._place:
            self.assertProblem(self.send(picture()), 503, "service_unavailable")
        self.assertEqual(files(), [])
        self.assertEqual(self.send(picture()).status_code, 200)

    def test_it_refuses_what_is_no_picture_of_these_kinds(self):
        cases = {
            "text": b"hello",
            "GIF": picture("GIF", mode="P", colour=0),
            "GIF and script": b"GIF89a/*" + b"\0" * 20 + b"*/=1;alert(1)",
            "BMP": picture("BMP"),
            "ICO": picture("ICO", size=(16, 16)),
            "TIFF": picture("TIFF"),
            "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
            "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
            "cut PNG": picture("PNG", size=(200, 200), mode="RGB")[:-60],
            "cut JPEG": picture("JPEG", size=(200, 200))[:400],
            "cut WebP": picture("WEBP", size=(200, 200))[:-20],
            "PNG header only": picture()[:33],
            "broken PNG": picture().replace(b"IDAT", b"XXXX"),
            "WebP header": b"RIFF\x10\x00\x00\x00WEBPVP8X" + b"\0" * 20,
            "one byte": b"\x89",
        }
        for name, content in cases.items():
            with self.subTest(name):
                self.assertRefused(content, "invalid_image")
        self.assertRefused(b"", "empty")
        self.assertRefused("not a file", "invalid")

    def test_it_refuses_more_than_4096_pixels_a_side_before_decoding_them(self):
        self.enterContext(warnings.catch_warnings())
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        self.assertEqual(self.send(picture(size=(4096, 1))).status_code, 200)
        for size in ((4097, 1), (1, 4097), (13_000, 13_000)):
            with self.subTest(size):
                content = bomb(*size)
                tracemalloc.start()
                self.assertRefused(content, "image_too_large")
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                self.assertLess(peak, 20_000_000)
        self.assertRefused(bomb(100_000, 100_000), "invalid_image")
        self.assertRefused(picture("WEBP", size=(5000, 10)), "image_too_large")
        self.assertRefused(picture("JPEG", size=(10, 5000)), "image_too_large")

    def test_it_refuses_more_than_five_megabytes(self):
        good = picture("JPEG")
        limit = pictures.MAX_BYTES
        self.assertEqual(self.send(good + b"\0" * (limit - len(good))).status_code, 200)
        self.assertRefused(good + b"\0" * (limit + 1 - len(good)), "file_too_large")
        response = self.send(good + b"\0" * (limit + 100_000))
        self.assertProblem(response, 413, "body_too_large")

    def test_a_refused_field_stores_no_picture(self):
        response = self.send(picture(), first_name="a" * 200)
        self.assertProblem(response, 400, "validation_error")
        self.assertEqual(files(), [])

    def test_a_failed_write_leaves_no_file_behind(self):
        self.send(picture())
        before = files()
        with mock.patch.object(pictures, "deleter_for", wraps=pictures.deleter_for) as removal:
            with (
                mock.patch("django.db.models.query.QuerySet.update", side_effect=RuntimeError),
                self.assertLogs("django.request", "ERROR"),
            ):
                self.assertEqual(self.send(picture()).status_code, 500)
            self.assertEqual(removal.call_count, 1)
        self.assertEqual(files(), before)

    def test_it_refuses_broken_forms(self):
        boundary = "multipart/form-data; boundary=x"
        bodies = {
            b"": boundary,
            b"garbage": boundary,
            b"--x\r\n\r\n": boundary,
            b"--x--": "multipart/form-data",
            b"--x\r\nContent-Disposition: form-data; name=first_name\r\n\r\n\0\r\n--x--\r\n": boundary,
        }
        for body, kind in bodies.items():
            with self.subTest(body):
                response = self.api.patch(URL, body, content_type=kind)
                self.assertIn(response.status_code, (200, 400), response.content)
        self.customer.refresh_from_db()
        self.assertEqual(self.customer.first_name, "Carla")

    def test_a_form_is_read_as_utf_8_whatever_charset_it_names(self):
        body = '--x\r\nContent-Disposition: form-data; name="first_name"\r\n\r\nZoë\r\n--x--\r\n'.encode()
        for charset in ("utf-8", "utf-7", "zip", "undefined", "idna", "nonsense"):
            with self.subTest(charset):
                kind = f"multipart/form-data; boundary=x; charset={charset}"
                response = self.api.patch(URL, body, content_type=kind)
                self.assertEqual(response.status_code, 200, response.content)
                self.assertEqual(response.json()["first_name"], "Zoë")


class PicturesTogether(RaceTestCase):
    def test_of_many_at_once_one_stays_and_no_file_is_left_over(self):
        self.addCleanup(remove_files)
        remove_files()
        client = self.signed_in(make_customer())
        for _ in range(3):
            calls = [
                lambda: client.patch(URL, {"profile_picture": upload(picture())}, format="multipart")
                for _ in range(6)
            ]
            responses = self.together(*calls)
            self.assertEqual({response.status_code for response in responses}, {200})
            name = UserProfile.objects.get().profile_picture.name
            self.assertEqual([f"{pictures.FOLDER}/{left}" for left in files()], [name])
