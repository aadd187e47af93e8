from django.apps import AppConfig


class VouchersConfig(AppConfig):
    name = "apps.vouchers"
    label = "vouchers"

    def ready(self) -> None:
        from apps.core import mail
        from apps.core.api.fields import in_lists
        from apps.users import personal_data, withheld_mails

        from . import selectors, serializers, services
        from .backoffice.people import extend_person_screen
        from .backoffice.search import register_search
        from .services import mail_pictures
        from .services.batch_changes import register_batch_changes

        extend_person_screen()
        register_search()
        register_batch_changes()
        mail.register_pictures(mail_pictures.QR, mail_pictures.draw_qr_codes)
        withheld_mails.register(services.NEW_CODE, services.mail_withheld_code)
        personal_data.register(
            "vouchers",
            export=lambda user: in_lists(serializers.VoucherOutput, selectors.vouchers_of(user)),
        )
        personal_data.register(
            "voucher_history",
            export=lambda user: in_lists(
                serializers.OwnHistoryOutput,
                selectors.history_of_vouchers_of(user),
                context={"viewer": user},
            ),
            erase=lambda user: services.record_closing(user=user),
        )
        personal_data.register(
            "usages",
            export=lambda user: in_lists(serializers.UsageExportOutput, selectors.usages_by(user)),
            erase=lambda user: services.erase_details(user=user),
        )
        personal_data.register(
            "batches",
            export=lambda user: serializers.BatchOutput(selectors.batches_of(user), many=True).data,
        )
