"""GET /api/vouchers/detail/<code>/qr/, and what phones and scanners make of it."""

import re
from importlib.util import find_spec
from unittest import skipUnless
from xml.etree import ElementTree

from django.test import override_settings
from PIL import Image, ImageDraw

from apps.users.tests.factories import make_other_customer, make_staff, make_user
from apps.vouchers import codes
from apps.vouchers.tests.factories import make_expired_voucher, make_type, make_voucher, unknown_code
from tests.support.cases import ApiTestCase

SVG = "{http://www.w3.org/2000/svg}"


def drawn(svg: bytes, pixels: int = 8) -> Image.Image:
    """The picture that an SVG of strokes "M", "m" and "h", each a module high, is."""
    root = ElementTree.fromstring(svg)
    side = int(root.attrib["viewBox"].split()[-1]) * pixels
    image = Image.new("L", (side, side), 255)
    draw = ImageDraw.Draw(image)
    path = next(element for element in root.iter(f"{SVG}path") if "stroke" in element.attrib)
    x = y = 0.0
    for command, arguments in re.findall(r"([Mmh])([-\d. ]+)", path.attrib["d"]):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", arguments)]
        if command == "M":
            x, y = numbers
        elif command == "m":
            x, y = x + numbers[0], y + numbers[1]
        else:
            top = (y - 0.5) * pixels
            draw.rectangle((x * pixels, top, (x + numbers[0]) * pixels - 1, top + pixels - 1), fill=0)
            x += numbers[0]
    return image


class QrTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.voucher = make_voucher(owner=self.owner, voucher_type=make_type(max_uses=5))
        self.api = self.signed_in(self.owner)
        self.link = f"https://vouchers.example.com/redeem#code={self.voucher.shown_code}"
        site = override_settings(FRONTEND_URL="https://vouchers.example.com/")
        site.enable()
        self.addCleanup(site.disable)

    def get(self, code=None, api=None, **query):
        code = self.voucher.shown_code if code is None else code
        return (api or self.api).get(f"/api/vouchers/detail/{code}/qr/", query)

    @skipUnless(find_spec("zxingcpp"), "zxing-cpp comes with requirements-dev.txt")
    def test_a_scanner_reads_the_link_and_what_it_types_redeems_the_voucher(self):
        from tests.support.paper import links_in, picture

        for image in (
            picture(self.get(format="png").content),
            drawn(self.get().content),
            picture(self.get(format="png").content).convert("L").resize((220, 220)).rotate(8, fillcolor=255),
        ):
            self.assertEqual(links_in(image), [self.link])
        scanner = self.signed_in(make_other_customer())
        response = scanner.post("/api/vouchers/redeem/", {"code": self.link})
        self.assertEqual(response.status_code, 200, response.content)
        self.voucher.refresh_from_db()
        self.assertEqual(self.voucher.uses_remaining, 4)

    @skipUnless(find_spec("zxingcpp"), "zxing-cpp comes with requirements-dev.txt")
    def test_it_is_read_with_a_stain_on_it(self):
        from tests.support.paper import links_in, picture

        image = picture(self.get(format="png").content).convert("L")
        side = image.width
        ImageDraw.Draw(image).ellipse((side * 0.45, side * 0.45, side * 0.62, side * 0.62), fill=90)
        self.assertEqual(links_in(image), [self.link])

    def test_it_is_an_svg_unless_asked_for_a_png(self):
        for query, media_type, start in (
            ({}, "image/svg+xml", b"<?xml"),
            ({"format": "svg"}, "image/svg+xml", b"<?xml"),
            ({"format": "png"}, "image/png", b"\x89PNG"),
        ):
            with self.subTest(query):
                response = self.get(**query)
                self.assertEqual(response.status_code, 200, response.content)
                self.assertEqual(response.headers["Content-Type"], media_type)
                self.assertTrue(response.content.startswith(start))
                name = f"voucher-{self.voucher.code[-4:]}.{query.get('format', 'svg')}"
                self.assertEqual(response.headers["Content-Disposition"], f'inline; filename="{name}"')
                self.assertEqual(response.headers["Cache-Control"], "private, no-store")
                self.assertEqual(response.headers["X-Content-Type-Options"], "nosniff")
                self.assertIn("default-src 'none'", response.headers["Content-Security-Policy"])
                self.assertNotIn("ETag", response.headers)
                self.assertNotIn(self.voucher.code[:-4], str(response.headers))
                self.assertNotIn(codes.format_code(self.voucher.code)[:-4], str(response.headers))

    def test_the_svg_draws_and_does_nothing_else(self):
        content = self.get().content
        root = ElementTree.fromstring(content)
        self.assertEqual(root.tag, f"{SVG}svg")
        self.assertEqual({element.tag for element in root.iter()} - {root.tag}, {f"{SVG}path"})
        attributes = {name for element in root.iter() for name in element.attrib}
        allowed = {"width", "height", "viewBox", "shape-rendering", "d", "fill", "stroke"}
        self.assertLessEqual(attributes, allowed)
        self.assertEqual(content.count(b"http"), 1)  # the name of SVG itself
        self.assertNotIn(self.voucher.code[:4].encode(), content)

    def test_it_comes_whatever_is_accepted(self):
        for accepted in ("image/png", "application/json", "text/html", "image/avif,image/webp,*/*;q=0.8"):
            response = self.api.get(
                f"/api/vouchers/detail/{self.voucher.code}/qr/", headers={"Accept": accepted}
            )
            self.assertEqual(response.headers["Content-Type"], "image/svg+xml", accepted)

    def test_another_format_is_refused(self):
        for wrong in ("gif", "json", "api", "SVG", "svg\0", "x" * 300):
            with self.subTest(wrong):
                document = self.assertProblem(self.get(format=wrong), 400, "validation_error")
                self.assertIn("format", document["errors"])

    def test_it_is_for_the_owner_and_staff(self):
        with self.assertQueries(2):
            self.assertEqual(self.get().status_code, 200)
        self.assertEqual(self.get(api=self.signed_in(make_staff())).status_code, 200)
        other = self.signed_in(make_other_customer())
        self.assertProblem(self.get(api=other), 404, "voucher_not_found")
        self.assertProblem(self.get(api=other, format="png"), 404, "voucher_not_found")
        self.assertProblem(self.get(api=self.client), 401, "not_authenticated")

    def test_unknown_and_malformed_codes_are_not_found(self):
        for code in (unknown_code(), "x", "%00", "%F0%9F%98%80", "a" * 300, "%23code=", "%2F"):
            self.assertProblem(self.get(code), 404, "voucher_not_found" if code != "%2F" else "not_found")

    def test_the_options_and_the_head_of_it_are_there(self):
        self.assertEqual(self.api.options(f"/api/vouchers/detail/{self.voucher.code}/qr/").status_code, 200)
        head = self.api.head(f"/api/vouchers/detail/{self.voucher.code}/qr/")
        self.assertEqual((head.status_code, head.content), (200, b""))
        self.assertEqual(head.headers["Content-Length"], str(len(self.get().content)))

    def test_an_expired_voucher_has_it_too(self):
        self.assertEqual(self.get(make_expired_voucher(owner=self.owner).code).status_code, 200)

    def test_the_code_reaches_no_log_line(self):
        shown = self.voucher.shown_code
        other = self.signed_in(make_other_customer())
        with self.assertLogs(level="INFO") as logged:
            for code in (shown, shown.lower(), shown.replace("-", "%20"), shown.replace("-", "--")):
                for api in (self.api, other, self.client):
                    self.get(code, api=api, format="png")
                    self.get(code, api=api, format="gif")
                    self.get(f"https:example%23code={code}", api=api)
        lines = "\n".join(logged.output)
        self.assertIn("GET /api/vouchers/detail/<str:code>/qr/ 200", lines)
        for group in shown.split("-")[:3]:
            self.assertNotIn(group.lower(), lines.lower())


class LinkTests(ApiTestCase):
    def test_a_link_is_read_as_the_code_that_ends_it(self):
        code = codes.make()
        shown = codes.format_code(code)
        for typed in (
            f"https://vouchers.example.com/redeem#code={shown}",
            f"http://localhost:3000/redeem#code={code}\r\n",
            f"  HTTPS://OLD.EXAMPLE/#CODE={shown}",
            f"https://{'x' * 300}.example/redeem#code={shown.lower()}",
            f"#code=nonsense#code={shown}",
            f"https://vouchers.example.com/redeem?code={code}",
            f"https://vouchers.example.com/redeem#code={code}#",
            f"#code={code} {code}",
        ):
            self.assertEqual(codes.parse(typed), code, typed)

    def test_what_is_no_code_at_its_end_stays_refused(self):
        code = codes.make()
        for typed in (
            f"https://vouchers.example.com/redeem#code={code[:-1]}",
            f"https://vouchers.example.com/redeem#code={code}&utm=x",
            f"{code}#code=",
            "#code=",
            "#code=" * 5_000,
        ):
            with self.assertRaises(codes.CodeMalformed):
                codes.parse(typed)

    def test_a_link_too_long_to_be_one_of_ours_is_refused(self):
        api = self.signed_in(make_user())
        response = api.post("/api/vouchers/redeem/", {"code": "x" * 600 + "#code=" + codes.make()})
        self.assertProblem(response, 400, "validation_error")
