from django.apps import AppConfig


class UsersConfig(AppConfig):
    name = "apps.users"
    label = "users"

    def ready(self) -> None:
        from apps.core import mail

        from . import email_changes, personal_data, selectors, services, signals, withheld_mails  # noqa: F401

        personal_data.register(
            "profile",
            export=selectors.profile_of,
            erase=lambda user: services.erase_profile(user=user),
        )
        personal_data.register(
            "email_changes",
            export=selectors.email_changes_of,
            erase=lambda user: email_changes.cancel(user=user),
        )
        personal_data.register(
            "withheld_mails", export=selectors.withheld_mails_of, erase=withheld_mails.discard
        )
        personal_data.register(
            "mails",
            export=lambda user: mail.sent_to(user.email),
            erase=lambda user: mail.erase_address(user.email),
        )
