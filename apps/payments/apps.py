from typing import TYPE_CHECKING

from django.apps import AppConfig

from apps.core import lean_imports

# The gateway passes an HTTP client of ours to the library, whose own is written for requests.
lean_imports.load_without("stripe", "requests")

if TYPE_CHECKING:
    from apps.users.models import User


class PaymentsConfig(AppConfig):
    name = "apps.payments"
    label = "payments"

    def ready(self) -> None:
        from apps.core import mail, metrics
        from apps.core.api.fields import in_lists
        from apps.users import personal_data, withheld_mails
        from apps.vouchers import price_checks

        from . import (  # noqa: F401 - checks and signals register themselves
            checks,
            gateway,
            gauges,
            selectors,
            serializers,
            services,
            signals,
        )
        from .backoffice.attention import register_attention
        from .backoffice.people import extend_person_screen
        from .backoffice.search import register_search
        from .backoffice.vouchers import extend_voucher_screen
        from .backoffice.withdrawals import extend_type_screen
        from .exports import extend_exported_vouchers
        from .services.withdrawal_operations import register_withdrawals

        def erase_purchases(user: "User") -> None:
            services.erase_buyer(user=user)
            signals.cancel_after_commit(user=user)

        extend_voucher_screen()
        extend_type_screen()
        register_withdrawals()
        extend_person_screen()
        register_attention()
        register_search()
        metrics.register(gauges.READER)
        extend_exported_vouchers()
        mail.register_attachments(services.RECEIPT, services.receipt_attachments)
        withheld_mails.register(services.RECEIPT, services.mail_withheld_receipt)
        price_checks.register(lambda price, currency: gateway.check_price(price, 1, currency))
        personal_data.register(
            "transactions",
            export=lambda user: in_lists(
                serializers.TransactionExportOutput, selectors.transactions_of(user)
            ),
            erase=erase_purchases,
        )
        personal_data.register(
            "refunds",
            export=lambda user: in_lists(serializers.RefundOutput, selectors.refunds_of(user)),
            erase=lambda user: services.erase_reasons(user=user),
        )
