"""One's own account at the reference shop: profile, picture, reminders, password, and leaving."""

import tempfile

from PIL import Image
from selenium.webdriver.support.ui import Select, WebDriverWait

from apps.users.models import User
from apps.users.tests.factories import PASSWORD
from apps.users.unsubscribe_links import unsubscribe_url
from tests.browser.shop import PATIENCE, SignedInTestCase

NEW_PASSWORD = "so sweet and so cold"


class AccountTests(SignedInTestCase):
    def profile(self):
        return User.objects.get(pk=self.customer.pk).profile

    def test_a_profile_is_changed_with_a_picture_and_errors_stand_beside_their_fields(self):
        self.visit("/account")
        self.fill(phone_number="not a number")
        self.refusals.append("api/users/profile/ .* status of 400")
        self.click("Save")
        self.assertIn("A phone number", self.error_beside("phone_number"))
        self.fill(phone_number="+233 20 123 4567", first_name="Carla Maria")
        self.click("Save")
        self.until("document.querySelector('h1').innerText === 'Carla Maria Customer'")
        self.assertEqual(self.profile().phone_number, "+233 20 123 4567")
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            Image.new("RGB", (40, 40), "teal").save(file, "PNG")
            file.flush()
            self.element("#picture").send_keys(file.name)
            self.until("document.querySelector('.picture img')?.naturalWidth === 40")
        self.assertTrue(self.profile().profile_picture)
        self.click("Remove")
        self.until("document.querySelector('.picture img') === null")
        self.assertFalse(self.profile().profile_picture)

    def test_reminders_are_turned_off_by_the_link_of_one_and_on_again(self):
        self.visit(unsubscribe_url(self.customer.pk))
        self.assertTrue(self.profile().expiry_reminders)  # the visit alone does nothing
        self.click("Stop reminders")
        self.shows("No more reminders")
        self.assertFalse(self.profile().expiry_reminders)
        self.visit("/account")
        self.element("[name=expiry_reminders]").click()
        self.shows("Saved.")
        self.assertTrue(self.profile().expiry_reminders)

    def test_mails_are_written_in_the_language_that_is_chosen_for_the_page(self):
        self.visit("/account")
        Select(self.element(".foot select")).select_by_visible_text("Français")
        self.until("document.documentElement.lang === 'fr'")
        WebDriverWait(self.driver, PATIENCE).until(
            lambda page: User.objects.get(pk=self.customer.pk).language == "fr"
        )

    def test_a_new_password_keeps_one_signed_in_and_closes_the_account(self):
        self.visit("/account")
        self.fill(old_password=PASSWORD, new_password=NEW_PASSWORD)
        self.click("Change password")
        self.shows("Your password is changed.")
        self.click("Close account")
        self.refusals.append("api/users/profile/ .* status of 400")
        self.fill(password=PASSWORD)
        self.click("Close my account")
        self.error_beside("password")
        self.fill(password=NEW_PASSWORD)
        self.click("Close my account")
        self.at("/")
        self.shows("Your account is closed.")
        self.assertFalse(User.objects.get(pk=self.customer.pk).is_active)
