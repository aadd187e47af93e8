"""The admin's side bar and the tabs over its lists."""

import re
from html import unescape
from unittest.mock import patch

from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import Client, TestCase
from django.utils import timezone

from apps.core.backoffice import attention
from apps.payments.models import Dispute, Refund
from apps.payments.tests.factories import make_completed_transaction
from apps.users.tests.factories import make_staff, make_user
from voucher_project.admin_navigation import ENTRIES


class NavigationTests(TestCase):
    client_class = Client

    def sidebar(self):
        """Title, address and badge of each entry."""
        page = self.client.get("/admin/").content.decode()
        bar = page.partition('id="nav-sidebar-apps"')[2].partition('id="header')[0]
        links = re.findall(r'<li>\s*<a href="([^"]+)".*?<span>([^<]*)</span>(.*?)</a>', bar, re.DOTALL)
        return {
            unescape(title): (address, re.sub(r"<[^>]*>|\s", "", badge)) for address, title, badge in links
        }

    def test_every_screen_stands_in_it_once(self):
        models = [model._meta.label_lower for model in admin.site._registry]
        self.assertEqual(sorted(entry.model for entry in ENTRIES), sorted(models))

    def test_it_has_what_one_may_see_and_no_more(self):
        desk = make_user(is_staff=True)
        self.client.force_login(desk)
        self.assertEqual(list(self.sidebar()), ["Overview"])
        desk.user_permissions.set(
            Permission.objects.filter(codename__in=("view_voucher", "change_vouchertype"))
        )
        self.assertEqual(list(self.sidebar()), ["Overview", "Vouchers", "Voucher types"])
        for address, _ in self.sidebar().values():
            self.assertEqual(self.client.get(address).status_code, 200, address)

    def test_its_badges_say_how_many_rows_need_a_person(self):
        self.client.force_login(make_staff())
        self.assertEqual({badge for _, badge in self.sidebar().values()}, {""})
        paid = make_completed_transaction(user=make_user())
        for status in ("failed", "requested", "requested"):
            finished_at = timezone.now() if status == "failed" else None
            Refund.objects.create(
                transaction=paid, amount=1, origin="buyer", status=status, finished_at=finished_at
            )
        Dispute.objects.create(
            transaction=paid,
            amount=1,
            stripe_dispute_id="dp_1",
            stripe_status="needs_response",
            opened_at=timezone.now(),
        )
        badges = {title: badge for title, (_, badge) in self.sidebar().items() if badge}
        self.assertEqual(
            badges, {"Refunds": "2", "Disputes": "1"}
        )  # a refund after the failed one is under way
        with patch.object(attention, "MAX_COUNTED", 1):
            self.assertEqual(self.sidebar()["Refunds"][1], "1+")


class TabTests(TestCase):
    client_class = Client

    def tabs(self, address):
        """Address and whether it is the active one of each tab, by title."""
        response = self.client.get(address)
        self.assertEqual(response.status_code, 200, address)
        bar = response.content.decode().partition('id="tabs-items"')[2].partition("</nav>")[0]
        links = re.findall(r'<a href="([^"]*)" class="([^"]*)"[^>]*>\s*([^<]*?)\s*</a>', bar)
        return {unescape(title): (unescape(link), "active" in classes) for link, classes, title in links}

    def test_every_tab_narrows_its_list_and_is_the_active_one(self):
        self.client.force_login(make_staff())
        for entry in ENTRIES:
            names = ["All", *(title for title, _ in entry.tabs)] if entry.tabs else []
            shown = self.tabs(entry.address)
            with self.subTest(entry.model):
                self.assertEqual(list(shown), names)
            for title, (address, _) in shown.items():
                with self.subTest(entry.model, tab=title):
                    active = [name for name, (_, is_active) in self.tabs(address).items() if is_active]
                    self.assertEqual(active, [title])
                    page = self.client.get(address)
                    narrowed = page.context["cl"].has_active_filters
                    self.assertEqual(bool(narrowed), title != "All")
