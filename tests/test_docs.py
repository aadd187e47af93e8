"""docs/api.md names every address and every error code that there is."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from unittest import TestCase

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver

from apps.core.api import problems
from apps.core.errors import DomainError

for found in Path(settings.BASE_DIR, "apps").glob("*/*errors.py"):
    import_module(f"apps.{found.parent.name}.{found.stem}")


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
