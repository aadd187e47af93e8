from django.apps import AppConfig


class AuthenticationConfig(AppConfig):
    name = "apps.authentication"
    label = "authentication"

    def ready(self) -> None:
        from apps.users import personal_data
        from apps.users.admin import UserAdmin

        from . import admin, authentication, selectors, services, signals  # noqa: F401

        UserAdmin.register_action("revoke_all_sessions", admin.revoke_all_sessions)
        UserAdmin.register_action("send_password_reset", admin.send_password_reset)

        personal_data.register(
            "sessions",
            export=selectors.sessions_of,
            erase=lambda user: services.revoke_all_sessions(user=user),
        )
