from django.apps import AppConfig


class AuthenticationConfig(AppConfig):
    name = "apps.authentication"
    label = "authentication"

    def ready(self) -> None:
        from . import bearer, signals  # noqa: F401
