"""The ready groups of staff: which permissions a role has. Names only; the apps that own them are not imported.

Each line is a job, so that what a role may do can be read here in one go. docs/back_office.md says it to people.
"""

from typing import Final

LOOK_UP_VOUCHERS: Final = (
    "vouchers.view_voucher",
    "vouchers.view_voucherusage",
    "vouchers.view_voucherevent",
)
LOOK_UP_PAYMENTS: Final = (
    "payments.view_transaction",
    "payments.view_soldvoucher",
    "payments.view_refund",
    "payments.view_refundedvoucher",
)

DESK: Final = (
    *LOOK_UP_VOUCHERS,
    *LOOK_UP_PAYMENTS,
    "users.view_user",
    "vouchers.view_vouchertype",
    "vouchers.extend_voucher",
    "vouchers.suspend_voucher",
    "vouchers.reverse_usage",
    "payments.resend_receipt",
    "post_office.view_email",
    "post_office.change_email",  # a mail that failed is tried again
)
FINANCE: Final = (
    *LOOK_UP_VOUCHERS,
    *LOOK_UP_PAYMENTS,
    "users.view_user",
    "vouchers.view_vouchertype",
    "payments.view_dispute",
    "payments.view_stripeevent",
    "core.view_jobresult",  # what the last audit and reconciliation found
    "payments.make_refund",
    "payments.decide_refund",
    "payments.resend_receipt",
    "payments.export_transaction",
    "payments.export_refund",
    "vouchers.export_voucher",
    "vouchers.export_usage",
    "core.view_dataexport",  # who exported what
    "analytics.view_figures",
)
CATALOGUE: Final = (
    "vouchers.view_vouchertype",
    "vouchers.add_vouchertype",
    "vouchers.change_vouchertype",
    "vouchers.delete_vouchertype",  # one that was never sold
    "vouchers.view_batch",
    "vouchers.add_batch",
    "vouchers.view_batchexport",
    "vouchers.export_codes",
    "vouchers.hold_batch",  # a carton of cards was lost
    "core.view_bulkoperation",
    "core.control_bulkoperation",
    "vouchers.view_codeexportrequest",
    "users.view_user",  # the owner of a batch is looked for
)
MANAGER: Final = (
    *DESK,
    *FINANCE,
    *CATALOGUE,
    "vouchers.void_voucher",
    "vouchers.reissue_voucher",
    "vouchers.void_batch",
    "vouchers.reassign_batch",
    "vouchers.withdraw_vouchertype",
    "vouchers.decide_code_export",
    "users.add_user",
    "users.change_user",
    "users.view_userprofile",
    "users.change_userprofile",
    "users.manage_staff",
    "auth.view_group",
    "authentication.view_session",
    "authentication.change_session",  # a session is ended
)

# The name of each group, and its permissions.
ROLES: Final[dict[str, tuple[str, ...]]] = {
    "Desk": DESK,
    "Finance": FINANCE,
    "Catalogue": CATALOGUE,
    "Manager": MANAGER,
}
