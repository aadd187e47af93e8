"""Packages that libraries load at the start of each process, though it hardly ever uses them, or never.

Without them a process takes 20 MB less, and a quarter of the time until it answers. What is here has to run before the
libraries are loaded: `load_lean` when Django loads the first of INSTALLED_APPS.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType
from typing import Any, Final

from django.core import signals

# What django-otp-webauthn takes functions from at the start. They bring cryptography, pyOpenSSL and pyasn1 for the
# checks of passkeys; the classes that tables and system checks need stand in other modules, which load nothing.
OF_PASSKEYS: Final = frozenset(
    {"webauthn", "webauthn.helpers", "webauthn.registration.verify_registration_response"}
)


def load_lean() -> None:
    """Load or postpone what the libraries would load in full. To be called before any of them is loaded."""
    # Its test client, which nothing here uses, is written for requests.
    load_without("rest_framework.compat", "requests")
    # Our tokens are signed by HMAC; the other algorithms of PyJWT need cryptography.
    load_without("jwt", "cryptography")
    # Two modules take something from Django's tests, which bring unittest: a signal that has a module of its own, and
    # a class of which the description of the API makes an instance.
    with _instead({"django.test": ModuleType("django.test"), "django.test.signals": signals}):
        import_module("rest_framework_simplejwt.settings")
    with _instead({"rest_framework.test": _postponed("rest_framework.test", "APIRequestFactory")}):
        import_module("drf_spectacular.plumbing")
    sys.meta_path.insert(0, _FinderOfPostponed(OF_PASSKEYS))


def load_without(module: str, package: str) -> None:
    """Load a module that can do without a package as if the package were not installed.

    To be called before anything else loads the module.
    """
    with _instead({package: None}):  # Python's way to say that it can't be imported
        import_module(module)


@contextmanager
def _instead(modules: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """Import these in the place of the modules of their names, which are as before when the block ends."""
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def _postponed(module: str, name: str) -> ModuleType:
    """In the place of a module, of which nothing but calls of one name is needed: it is loaded by the first."""

    def call(*arguments: Any, **options: Any) -> Any:
        return getattr(import_module(module), name)(*arguments, **options)

    stand_in = ModuleType(module)
    setattr(stand_in, name, call)
    return stand_in


class _FinderOfPostponed(MetaPathFinder):
    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        self.lock = RLock()

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in self.names else None
        if spec is not None and spec.loader is not None:
            spec.loader = _PostponingLoader(spec.loader, self.lock)
        return spec


class _PostponingLoader(Loader):
    """Loads a module of functions when one of them is called. Until then each name in it is a function that does so.

    `lock` is that of all such modules, as one takes names from another: in one that a second thread is just loading
    they are not there yet, or are submodules of that name, and whoever took them would keep them.
    """

    def __init__(self, real: Loader, lock: RLock) -> None:
        self.real = real
        self.lock = lock

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        is_loaded = False

        def load() -> None:
            nonlocal is_loaded
            with self.lock:
                if not is_loaded:
                    is_loaded = True
                    del module.__getattr__
                    try:
                        self.real.exec_module(module)
                    except BaseException:  # the next call tries again
                        is_loaded = False
                        module.__getattr__ = function  # type: ignore[assignment]
                        raise

        def function(name: str) -> Callable[..., Any]:
            if name.startswith("__"):
                raise AttributeError(name)

            def call(*arguments: Any, **options: Any) -> Any:
                load()
                return getattr(module, name)(*arguments, **options)

            return call

        module.__getattr__ = function  # type: ignore[method-assign]
