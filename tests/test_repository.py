"""The repository keeps its own promises: files, configuration, migrations, dependencies, imports and routes."""

import re
import subprocess
import sys
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from unittest import skipUnless

from django.conf import settings
from django.core.management import call_command
from django.test import SimpleTestCase, TestCase
from django.urls import Resolver404, URLPattern, get_resolver, resolve
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from voucher_project.rate_limits import NORMAL

ROOT = Path(settings.BASE_DIR)

FILES = """
    manage.py requirements.txt Dockerfile Procfile runtime.txt build.sh render.yaml .env.example .gitignore
    compose.yaml .dockerignore deploy/nginx.conf
    voucher_project/__init__.py voucher_project/settings.py voucher_project/urls.py voucher_project/wsgi.py
    voucher_project/asgi.py voucher_project/celery.py
    apps/authentication/apps.py apps/authentication/views.py apps/authentication/serializers.py
    apps/authentication/urls.py
    apps/users/apps.py apps/users/models.py apps/users/admin.py apps/users/views.py apps/users/serializers.py
    apps/users/signals.py apps/users/urls.py apps/users/migrations/__init__.py
    apps/vouchers/apps.py apps/vouchers/models.py apps/vouchers/admin.py apps/vouchers/views.py
    apps/vouchers/serializers.py apps/vouchers/urls.py apps/vouchers/migrations/__init__.py
    apps/vouchers/management/commands/create_sample_vouchers.py
    apps/payments/apps.py apps/payments/models.py apps/payments/admin.py apps/payments/views.py
    apps/payments/serializers.py apps/payments/urls.py apps/payments/migrations/__init__.py
    apps/analytics/apps.py apps/analytics/views.py apps/analytics/urls.py
    static/.gitkeep media/.gitkeep logs/.gitkeep
""".split()

IGNORED = [
    "staticfiles/app.css",
    "db.sqlite3",
    "db.sqlite3.stripe",
    "voucher.stripe",
    "logs/django.log",
    ".env",
    "media/picture.png",
]

# The addresses that clients know; one that is added to the API is added here.
ROUTES = """
    / /redeem /reset-password /unsubscribe /confirm-email /change-email /cancel-email-change /api/
    /mail/ /mail/1/ /mail/1/attachment/1/ /metrics
    /admin/ /api/health/ /api/health/ready/ /api/test/ /api/schema/ /api/docs/
    /api/auth/register/ /api/auth/login/ /api/auth/token/refresh/ /api/auth/refresh/ /api/auth/token/verify/
    /api/auth/logout/ /api/auth/profile/ /api/auth/password-reset/ /api/auth/password-reset-confirm/
    /api/auth/second-factor/ /api/auth/confirm-email/ /api/auth/resend-confirmation/
    /api/auth/change-email-confirm/ /api/auth/change-email-cancel/ /api/users/change-email/
    /api/users/profile/ /api/users/profile/update/ /api/users/change-password/ /api/users/export/
    /api/users/unsubscribe/
    /media/profile-pictures/0123456789abcdef0123456789abcdef.webp
    /api/vouchers/types/ /api/vouchers/my-vouchers/ /api/vouchers/purchase/ /api/vouchers/redeem/
    /api/vouchers/detail/2345-6789-ABCD-EFGH/ /api/vouchers/detail/2345-6789-ABCD-EFGH/qr/
    /api/vouchers/detail/2345-6789-ABCD-EFGH/pdf/ /api/vouchers/stats/ /api/vouchers/usage-history/
    /api/payments/create-payment-intent/ /api/payments/create-intent/ /api/payments/confirm-payment/
    /api/payments/confirm/ /api/payments/history/ /api/payments/transaction/1/
    /api/payments/transaction/1/receipt/ /api/payments/transaction/1/vouchers/pdf/ /api/payments/webhook/
    /api/payments/refund/request/ /api/payments/refunds/
    /api/analytics/dashboard/ /api/analytics/user/ /api/analytics/revenue/
""".split()


class LayoutTests(SimpleTestCase):
    def test_every_promised_file_is_there(self):
        self.assertEqual([name for name in FILES if not (ROOT / name).is_file()], [])

    @skipUnless((ROOT / ".git").exists(), "not a clone")
    def test_what_a_run_leaves_behind_is_ignored_by_git(self):
        ignored = subprocess.run(
            ["git", "check-ignore", *IGNORED], cwd=ROOT, capture_output=True, text=True, check=False
        )
        self.assertEqual(ignored.stdout.split(), IGNORED)


class ConfigurationTests(SimpleTestCase):
    def test_env_example_has_every_variable_that_the_settings_read_and_no_other(self):
        sources = "".join(path.read_text() for path in (ROOT / "voucher_project").glob("*.py"))
        read = set(re.findall(r"""\bread\(\s*["']([A-Z][A-Z0-9_]+)["']""", sources))
        read |= NORMAL.keys()  # the limits are read by the names of their table
        example = re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
        self.assertEqual(sorted(example), sorted(read))

    def test_env_example_has_a_comment_for_every_variable(self):
        blocks = (ROOT / ".env.example").read_text().split("\n\n")
        for block in blocks:
            if re.search(r"^#? ?[A-Z][A-Z0-9_]+=", block, re.MULTILINE):
                self.assertRegex(block, r"^# [A-Z\"].* .* ", block)

    def test_render_counts_both_proxies_before_the_app(self):
        # Cloudflare's edge writes the client's address, Render's own proxy that of the edge.
        self.assertRegex((ROOT / "render.yaml").read_text(), r'- key: TRUSTED_PROXY_COUNT.*\n +value: "2"')


class MigrationTests(TestCase):
    def test_no_migration_is_missing(self):
        output = StringIO()
        try:
            call_command("makemigrations", check=True, dry_run=True, stdout=output, stderr=output)
        except SystemExit:
            self.fail(output.getvalue())


class DependencyTests(SimpleTestCase):
    def test_every_pin_satisfies_what_was_asked_for_and_has_a_hash(self):
        for name in ("requirements", "requirements-dev"):
            pins = pinned(name)
            for requirement in requirements_in(name):
                with self.subTest(file=name, package=requirement.name):
                    self.assertIn(canonicalize_name(requirement.name), pins)
                    version, block = pins[canonicalize_name(requirement.name)]
                    self.assertTrue(requirement.specifier.contains(version), version)
                    self.assertIn("--hash=sha256:", block)

    def test_development_has_the_versions_of_production(self):
        development = {name: version for name, (version, _) in pinned("requirements-dev").items()}
        production = {name: version for name, (version, _) in pinned("requirements").items()}
        self.assertEqual({name: development.get(name) for name in production}, production)

    def test_every_direct_dependency_has_its_reason(self):
        page = (ROOT / "docs/dependencies.md").read_text()
        listed = re.findall(r"^\| ([a-z0-9-]+) \| \S", page, re.MULTILINE)
        direct = [
            requirement.name
            for name in ("requirements", "requirements-dev")
            for requirement in requirements_in(name)
        ]
        self.assertEqual(sorted(set(listed) - {"package"}), sorted(direct))


def requirements_in(name: str) -> list[Requirement]:
    """The packages that `name`.in asks for."""
    lines = (ROOT / f"{name}.in").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def pinned(name: str) -> dict[str, tuple[str, str]]:
    """The packages that `name`.txt pins: their versions, and all that it says of them."""
    blocks = re.split(r"\n(?=\S)", (ROOT / f"{name}.txt").read_text())
    pins = [(re.match(r"([A-Za-z0-9._-]+)==([^ ]+)", block), block) for block in blocks]
    return {canonicalize_name(match[1]): (match[2], block) for match, block in pins if match}


class ImportTests(SimpleTestCase):
    @skipUnless(find_spec("importlinter"), "requirements-dev.txt is not installed")
    def test_apps_and_rooms_import_one_way(self):
        program = Path(sys.executable).with_name("lint-imports")
        ran = subprocess.run([program], cwd=ROOT, capture_output=True, text=True, check=False)
        self.assertEqual(ran.returncode, 0, ran.stdout[-3000:])


class RouteTests(SimpleTestCase):
    def test_every_promised_route_is_there(self):
        self.assertEqual([route for route in ROUTES if not is_route(route)], [])

    def test_every_route_has_a_name_of_its_own(self):
        names = [pattern.name for pattern in patterns(get_resolver())]
        self.assertNotIn(None, names)
        self.assertEqual(sorted({name for name in names if names.count(name) > 1}), [])


def is_route(path: str) -> bool:
    """Whether some view answers at `path`."""
    try:
        resolve(path)
    except Resolver404:
        return False
    return True


def patterns(resolver) -> list[URLPattern]:
    """Every route under `resolver`, the admin's own apart."""
    routes = []
    for entry in resolver.url_patterns:
        if isinstance(entry, URLPattern):
            routes.append(entry)
        elif entry.app_name != "admin":
            routes += patterns(entry)
    return routes
