import logging

from django.apps import AppConfig


class AuthenticationConfig(AppConfig):
    name = "apps.authentication"
    label = "authentication"

    def ready(self) -> None:
        from apps.core.backoffice import second_factor
        from apps.users import email_changes, personal_data
        from apps.users.admin import UserAdmin

        from . import admin, authentication, selectors, services, signals  # noqa: F401
        from .backoffice import fresh_proof_page
        from .second_factor import admin_session, factors

        # The library, which passkeys bring, gives itself a handler that no mask would stand before.
        logging.getLogger("pyasn1").handlers.clear()

        UserAdmin.register_action("revoke_all_sessions", admin.revoke_all_sessions)
        UserAdmin.register_action("send_password_reset", admin.send_password_reset)
        UserAdmin.register_part(admin.SESSIONS)

        email_changes.register(lambda user: services.revoke_all_sessions(user=user))
        personal_data.register(
            "sessions",
            export=selectors.sessions_of,
            erase=lambda user: services.revoke_all_sessions(user=user),
        )
        personal_data.register("second_factors", export=factors.exported, erase=factors.erase)
        second_factor.register(
            second_factor.SecondFactor(is_missing=admin_session.is_missing, ask=fresh_proof_page.ask)
        )
