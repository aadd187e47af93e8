"""The pages /mail/, which show a developer what would have been sent."""

from typing import Any
from unittest import mock

from django.core.mail import EmailMessage, get_connection
from django.test import Client, TestCase, override_settings
from post_office.models import STATUS, Email, Log

from apps.core import mail, mail_pages
from apps.core.mail import Attachment, Picture, content_id, parts

TEMPLATE = "authentication/second_factor_changed"  # its subject is what it says


def queue(to="carla@example.com", subject="News", link="https://x.example/#secret", **options):
    context = {"change": subject, "moment": "today", "link": link}
    mail.enqueue(to=to, template=TEMPLATE, language=None, context=context, **options)
    return Email.objects.latest("id")


@override_settings(DEBUG=True, EMAIL_BACKEND=mail_pages.BACKEND)
class MailPageTests(TestCase):
    client: Client

    def page(self, path, status=200):
        response = self.client.get(path)
        self.assertEqual(response.status_code, status)
        return response

    def test_the_newest_mail_is_listed_first_and_leads_to_its_text(self):
        first, second = queue(subject="Old <b>news</b>"), queue(to="otto@example.org", subject="New news")
        response = self.page("/mail/")
        text = response.content.decode()
        self.assertLess(text.index("New news"), text.index("Old &lt;b&gt;news"))
        for email in (first, second):
            self.assertIn(f'href="/mail/{email.pk}/"', text)
        self.assertEqual(response["Cache-Control"], "no-store")
        only = self.page("/mail/?to=otto@example.org").content.decode()
        self.assertIn("New news", only)
        self.assertNotIn("carla@example.com", only)

    def test_an_empty_list_says_how_mail_comes(self):
        self.assertContains(self.page("/mail/"), "There is none yet")

    def test_a_mail_has_its_reader_s_view_in_a_sandbox_and_its_plain_text(self):
        email = queue(
            link="https://x.example/?a=1&b=<i>", headers={"List-Unsubscribe": "<https://x.example/u>"}
        )
        text = self.page(f"/mail/{email.pk}/").content.decode()
        self.assertIn("<dd>carla@example.com</dd>", text)
        self.assertIn("<dt>List-Unsubscribe</dt><dd>&lt;https://x.example/u&gt;</dd>", text)
        frame = text.partition("<iframe")[2].partition("</iframe>")[0]
        self.assertIn('sandbox="allow-popups allow-top-navigation-by-user-activation"', frame)
        self.assertNotIn("allow-scripts", frame)
        self.assertEqual(frame.count('"'), 6)  # of three attributes: nothing of the mail ends one
        self.assertIn("&lt;!DOCTYPE html&gt;", frame)
        self.assertIn("https://x.example/?a=1&amp;amp;b=", frame)
        self.assertIn('<a href="https://x.example/?a=1&amp;b=', text.partition("<pre>")[2])

    def test_what_goes_with_a_mail_is_made_when_it_is_looked_at(self):
        attachment = Attachment("receipt.pdf", b"%PDF-1.7", "application/pdf")
        with mock.patch.dict(parts._attachment_makers, {"receipt": lambda number: [attachment] * 2}):
            email = queue(attach=("receipt", {"number": 5}))
            self.assertContains(self.page(f"/mail/{email.pk}/"), f'href="/mail/{email.pk}/attachment/2/"')
            response = self.page(f"/mail/{email.pk}/attachment/2/")
            for place in (0, 3, 10**30):
                self.page(f"/mail/{email.pk}/attachment/{place}/", 404)
        self.assertEqual(
            (response.content, response["Content-Type"]), (attachment.content, attachment.media_type)
        )
        self.assertEqual(response["Content-Disposition"], 'inline; filename="receipt.pdf"')
        self.page(f"/mail/{queue().pk}/attachment/1/", 404)

    def test_pictures_stand_in_their_places(self):
        with mock.patch.dict(parts._picture_makers, {"dot": lambda: [Picture("dot", b"PNG")]}):
            email = queue(show=("dot", {}))
            Email.objects.update(html_message=f'<img src="cid:{content_id("dot")}">')
            text = self.page(f"/mail/{email.pk}/").content.decode()
        self.assertIn("&lt;img src=&quot;data:image/png;base64,UE5H&quot;&gt;", text)

    def test_why_a_mail_was_not_sent_or_its_attachment_not_made_is_said(self):
        def fail(number):
            raise LookupError("the receipt is gone")

        with mock.patch.dict(parts._attachment_makers, {"receipt": fail}):
            email = queue(attach=("receipt", {"number": 5}))
            Log.objects.create(email=email, status=STATUS.failed, exception_type="OSError", message="full")
            text = self.page(f"/mail/{email.pk}/").content.decode()
            self.page(f"/mail/{email.pk}/attachment/1/", 404)
        self.assertIn("could not be made: LookupError: the receipt is gone", text)
        self.assertIn("OSError, full", text)

    def test_numbers_that_no_mail_has_are_unknown_addresses(self):
        nobodys = queue(to="")
        for number in (nobodys.pk, 0, nobodys.pk + 1, 2**63, 10**30):
            self.page(f"/mail/{number}/", 404)
            self.page(f"/mail/{number}/attachment/1/", 404)

    def test_pages_are_for_reading(self):
        self.assertEqual(self.client.post("/mail/").status_code, 405)

    def test_nobody_else_sees_them(self):
        email = queue()
        addresses = ("/mail/", f"/mail/{email.pk}/", f"/mail/{email.pk}/attachment/1/")
        here: dict[str, Any] = {"REMOTE_ADDR": "127.0.0.1"}
        for settings, sender in (
            ({"DEBUG": False}, here),
            ({"EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend"}, here),
            ({}, {"REMOTE_ADDR": "203.0.113.7"}),
            ({}, here | {"HTTP_X_FORWARDED_FOR": "203.0.113.7"}),  # by a proxy or a tunnel on this machine
            ({}, here | {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}),
            ({}, here | {"HTTP_FORWARDED": "for=203.0.113.7"}),
        ):
            for path in addresses:
                with self.subTest(settings, path=path, sender=sender), override_settings(**settings):
                    self.assertEqual(self.client.get(path, **sender).status_code, 404)
                    self.assertEqual(self.client.post(path, **sender).status_code, 404)

    def test_a_mail_counts_as_sent_and_one_line_says_where_it_is(self):
        email = queue()
        with (
            override_settings(API_URL="http://localhost:8001"),
            self.assertLogs("apps.core.mail", "INFO") as log,
        ):
            self.assertEqual(mail.send_pending(), 1)
        email.refresh_from_db()
        self.assertEqual(email.status, STATUS.sent)
        (line,) = log.output
        self.assertTrue(line.endswith("Mail to carla@example.com: News (http://localhost:8001/mail/)"), line)
        self.assertEqual(get_connection().send_messages([EmailMessage(to=["a@example.com"])] * 2), 2)
