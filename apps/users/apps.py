from django.apps import AppConfig


class UsersConfig(AppConfig):
    name = "apps.users"
    label = "users"

    def ready(self) -> None:
        from apps.core import mail

        from . import personal_data, selectors, services, signals  # noqa: F401

        personal_data.register(
            "profile",
            export=selectors.profile_of,
            erase=lambda user: services.erase_profile(user=user),
        )
        personal_data.register(
            "mails",
            export=lambda user: mail.sent_to(user.email),
            erase=lambda user: mail.erase_address(user.email),
        )
