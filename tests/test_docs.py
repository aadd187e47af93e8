"""docs/api.md names every address and every error code that there is; what the pages name exists."""

import re
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import ClassVar
from unittest import TestCase, skipUnless

from django.apps import apps
from django.conf import settings
from django.core.management import get_commands
from django.urls import URLPattern, URLResolver, get_resolver

from apps.core.api import problems
from apps.core.errors import DomainError
from voucher_project.celery import app as celery

for module_file in Path(settings.BASE_DIR, "apps").glob("*/*errors.py"):
    import_module(f"apps.{module_file.parent.name}.{module_file.stem}")


def families(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    for child in kind.__subclasses__():
        yield child
        yield from families(child)


def addresses(resolver: URLResolver, prefix: str = "/") -> Iterator[str]:
    for entry in resolver.url_patterns:
        address = prefix + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield re.sub(r"<\w+:(\w+)>", lambda match: f"<{match[1].split('_')[-1]}>", address)
        else:
            yield from addresses(entry, address)


class ApiPageTests(TestCase):
    page = Path(settings.BASE_DIR, "docs/api.md").read_text()

    def test_it_has_every_error_code(self):
        own = {kind.code for kind in families(DomainError) if kind.code != "error"}
        general = {code for code, _ in problems.CODES.values()}
        for code in sorted(own | general):
            with self.subTest(code):
                self.assertIn(f"`{code}`", self.page)

    def test_it_has_every_address(self):
        own = [address for address in addresses(get_resolver()) if address.startswith("/api/")]
        self.assertGreater(len(own), 30)
        for address in own:
            with self.subTest(address):
                self.assertIn(f"`{address}`", self.page)


ROOT = Path(settings.BASE_DIR)
PAGES = (
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("local_stripe/*.md"),
    *ROOT.glob("shop/*.md"),
    *ROOT.glob("bench/**/*.md"),
)
# Names of libraries that nothing here uses.
ELSEWHERE = {"ATOMIC_REQUESTS", "EmailMultiAlternatives", "token_blacklist"}
A_PATH = re.compile(r"[\w./-]*\w\.(py|md|toml|conf|sh|html|yaml|yml|in)|[\w-]+(/[\w-]+)+/")
A_NAME = re.compile(r"[a-z_]\w*(\.\w+)+")
APPS = {
    config.name.removeprefix("apps.") for config in apps.get_app_configs() if config.name.startswith("apps.")
}


@skipUnless((ROOT / ".git").exists(), "not a clone")
class ChangelogTests(TestCase):
    def test_its_newest_release_is_the_version_that_the_api_answers(self):
        changelog = Path(settings.BASE_DIR, "CHANGELOG.md").read_text()
        releases = re.findall(r"^## (\d+\.\d+\.\d+) - \d{4}-\d{2}-\d{2}$", changelog, re.MULTILINE)
        self.assertEqual(releases[0], settings.VERSION)


class NameTests(TestCase):
    """A path may be short (`gateway.py`, `vouchers/codes.py`), and so may a name (`payments.SoldVoucher`)."""

    files: ClassVar[list[str]]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
        cls.files = [f"/{name}" for name in listed.stdout.split()]

    def check(self, pattern, exists):
        """Every word of the pages that has this form exists."""
        number = 0
        for page in PAGES:
            for line in page.read_text().splitlines():
                for match in pattern.finditer(line):
                    number += 1
                    with self.subTest(page.name, name=match[1]):
                        self.assertTrue(exists(match[1], page), match[1])
        self.assertGreater(number, 20)

    def test_every_file_and_folder_exists(self):
        self.check(re.compile(r"`(?=[\w.])([^`\s]+)`"), self.is_file)

    def is_file(self, name, page):
        if not A_PATH.fullmatch(name) or (page.name == "CONTRIBUTING.md" and "label" in name):  # its example
            return True
        return any(
            f"/{name}" in file if name.endswith("/") else file.endswith(f"/{name}") for file in self.files
        )

    def test_every_module_class_and_function_exists(self):
        self.check(re.compile(r"`([\w.]+)(?:\(\))?`"), self.is_name)

    def is_name(self, name, page):
        first, *rest = name.split(".")
        if not A_NAME.fullmatch(name) or A_PATH.fullmatch(name) or first not in APPS:
            return True
        permissions = [
            f"{verb}_{model._meta.model_name}"
            for model in apps.get_models()
            for verb in ("add", "change", "view")
        ]
        permissions += [code for model in apps.get_models() for code, _ in model._meta.permissions]
        celery.loader.import_default_modules()
        return (
            resolves(f"apps.{name}")
            or resolves(f"apps.{first}.models.{'.'.join(rest)}")
            or rest[-1] in permissions
            or name in celery.tasks
        )

    def test_every_word_of_code_stands_somewhere_in_the_code(self):
        endings = (".py", ".js", ".html", ".yaml", ".conf", ".in", ".toml", ".example")
        sources = [ROOT / file[1:] for file in self.files if file.endswith(endings)]
        known = set(re.findall(r"\w+", "\n".join(path.read_text() for path in sources))) | ELSEWHERE
        self.check(
            re.compile(r"`(?!pm_card_)(\w*[a-z]_\w+|[A-Z]\w+)(?:\(\))?`"), lambda name, page: name in known
        )

    def test_every_command_exists(self):
        self.check(re.compile(r"manage\.py (\w+)"), lambda name, page: name in get_commands())

    def test_every_link_leads_somewhere(self):
        self.check(re.compile(r"\]\((?!https?:)([^)\s]+)\)"), self.is_link)

    def is_link(self, link, page):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not anchor:
            return target.exists()
        titles = re.findall(r"^#+ (.*)", target.read_text(), re.MULTILINE)
        return anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def resolves(name: str) -> bool:
    """Whether a dotted name leads to a module, or to something in one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            value = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        try:
            for part in parts[end:]:
                value = getattr(value, part)
        except AttributeError:
            return False
        return True
    return False
