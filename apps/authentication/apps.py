from django.apps import AppConfig


class AuthenticationConfig(AppConfig):
    name = "apps.authentication"
    label = "authentication"

    def ready(self) -> None:
        from apps.users import personal_data

        from . import authentication, selectors, services, signals  # noqa: F401

        personal_data.register(
            "sessions",
            export=selectors.sessions_of,
            erase=lambda user: services.revoke_all_sessions(user=user),
        )
