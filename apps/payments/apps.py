from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "apps.payments"
    label = "payments"

    def ready(self) -> None:
        from apps.users import personal_data

        from . import selectors, serializers

        personal_data.register(
            "transactions",
            export=lambda user: (
                serializers.TransactionOutput(selectors.transactions_of(user), many=True).data
            ),
        )
