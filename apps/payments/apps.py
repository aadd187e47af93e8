from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "apps.payments"
    label = "payments"

    def ready(self) -> None:
        from apps.core import mail
        from apps.core.serializers import in_lists
        from apps.users import personal_data
        from apps.vouchers import price_checks

        from . import checks, gateway, selectors, serializers, services  # noqa: F401 - checks registers itself

        mail.register_attachment(services.RECEIPT, services.receipt_attachment)
        price_checks.register(lambda price, currency: gateway.check_price(price, 1, currency))
        personal_data.register(
            "transactions",
            export=lambda user: in_lists(
                serializers.TransactionExportOutput, selectors.transactions_of(user)
            ),
            erase=lambda user: services.erase_buyer(user=user),
        )
        personal_data.register(
            "refunds",
            export=lambda user: in_lists(serializers.RefundOutput, selectors.refunds_of(user)),
            erase=lambda user: services.erase_reasons(user=user),
        )
