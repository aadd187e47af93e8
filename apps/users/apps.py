from django.apps import AppConfig


class UsersConfig(AppConfig):
    name = "apps.users"
    label = "users"

    def ready(self) -> None:
        from . import email_changes, personal_data, services, signals, withheld_mails  # noqa: F401

        personal_data.register(
            "profile",
            export=personal_data.profile_of,
            erase=lambda user: services.erase_profile(user=user),
        )
        personal_data.register(
            "email_changes",
            export=personal_data.email_changes_of,
            erase=lambda user: email_changes.cancel(user=user),
        )
        personal_data.register(
            "withheld_mails", export=personal_data.withheld_mails_of, erase=withheld_mails.discard
        )
        personal_data.register(
            "mails",
            export=personal_data.mails_of,
            erase=personal_data.erase_mails,
        )
