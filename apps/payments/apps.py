from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "apps.payments"
    label = "payments"

    def ready(self) -> None:
        from apps.core import mail
        from apps.users import personal_data

        from . import selectors, serializers, services

        mail.register_attachment(services.RECEIPT, services.receipt_attachment)
        personal_data.register(
            "transactions",
            export=lambda user: (
                serializers.TransactionOutput(selectors.transactions_of(user), many=True).data
            ),
        )
        personal_data.register(
            "refunds",
            export=lambda user: serializers.RefundOutput(selectors.refunds_of(user), many=True).data,
            erase=lambda user: services.erase_reasons(user=user),
        )
