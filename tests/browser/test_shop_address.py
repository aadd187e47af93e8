"""The address of an account at the reference shop: confirming it, and changing it, with the links of the mails."""

import re

from post_office.models import Email

from apps.payments.tests.factories import make_completed_transaction
from apps.users.models import User
from apps.users.tests.factories import PASSWORD, make_unconfirmed
from tests.browser.shop import DESK, PHONE, ShopTestCase, SignedInTestCase

NEW = "carla.new@example.com"


def link_in(email):
    """The address that a mail leads to."""
    link = re.search(r"http\S+#token=\S+", email.message)
    assert link, email.message
    return link[0]


class ConfirmTests(ShopTestCase):
    def test_the_shop_reminds_of_the_link_until_it_is_followed(self):
        nora = make_unconfirmed()
        make_completed_transaction(user=nora)
        self.visit("/sign-in")
        self.fill(email=nora.email, password=PASSWORD)
        self.click("Sign in")
        self.at("/vouchers")
        for width in (DESK, PHONE):
            self.width(width)
            self.shows("Please confirm your address with the link that we mailed to nora@example.com.")
            self.assertAccessible(f"the reminder at {width}")
        self.width(DESK)
        Email.objects.all().delete()
        self.click("Send another link")
        self.shows("A link is on its way to you.")
        link = link_in(Email.objects.get())
        self.visit(link)
        self.assertFalse(User.objects.get(pk=nora.pk).email_confirmed)  # the visit alone does nothing
        self.assertNotIn("token", self.driver.current_url)
        self.assertAccessible("/confirm-email")
        self.click("Confirm my address")
        self.shows("Your address is confirmed")
        self.assertTrue(User.objects.get(pk=nora.pk).email_confirmed)
        self.assertNotIn("Please confirm your address", self.text())
        self.refusals.append("api/auth/confirm-email/ .* status of 409")
        self.visit(link)
        self.click("Confirm my address")
        self.shows("Your address is confirmed")  # nothing is left to do, which is no error
        self.click("Vouchers")
        self.at("/vouchers")

    def test_a_link_that_is_none_is_refused_in_words(self):
        self.refusals.append("api/auth/.* status of 400")
        for page, button in (
            ("confirm-email", "Confirm my address"),
            ("change-email", "Use this address"),
            ("cancel-email-change", "Stop the change"),
        ):
            self.visit(f"/{page}#token=nonsense")
            self.click(button)
            self.shows("This link is not valid any more")
            self.visit(f"/{page}")
            self.shows("The link is missing")


class ChangeTests(SignedInTestCase):
    def ask(self):
        self.visit("/account")
        self.fill(new_email=NEW)
        self.driver.find_element("css selector", "form:has([name=new_email]) [name=password]").send_keys(
            PASSWORD
        )
        self.click("Change address")
        self.shows(f"If {NEW} is free, a link is on its way to it.")

    def test_the_address_changes_by_the_link_and_this_browser_stays_signed_in(self):
        self.visit("/account")
        self.fill(new_email="carla@example.com")
        self.driver.find_element("css selector", "form:has([name=new_email]) [name=password]").send_keys(
            PASSWORD
        )
        self.refusals.append("api/users/change-email/ .* status of 400")
        self.click("Change address")
        self.assertEqual(self.error_beside("new_email"), "This is the address that your account has.")
        self.ask()
        for width in (DESK, PHONE):
            self.width(width)
            self.assertAccessible(f"/account at {width}")
        self.width(DESK)
        self.visit(link_in(Email.objects.get(to=NEW)))
        self.assertEqual(User.objects.get(pk=self.customer.pk).email, "carla@example.com")
        self.click("Use this address")
        self.shows("Your address is changed")
        self.click("Account")
        self.at("/account")
        self.shows(f"{NEW}, confirmed.")

    def test_the_owner_keeps_the_address(self):
        self.ask()
        self.click("Keep my address")
        self.shows("Your address stays as it is.")
        self.element("[name=new_email]")

    def test_the_link_at_the_old_address_stops_it(self):
        self.ask()
        self.visit(link_in(Email.objects.get(to="carla@example.com")))
        self.assertAccessible("/cancel-email-change")
        self.click("Stop the change")
        self.shows("The change is stopped")
        self.refusals.append("api/auth/change-email-confirm/ .* status of 400")
        self.visit(link_in(Email.objects.get(to=NEW)))
        self.click("Use this address")
        self.shows("This link is not valid any more")
