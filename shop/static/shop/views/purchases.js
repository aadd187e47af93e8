// What one has bought, and what one has redeemed stands beside it.

import { badge, emptyState, growingList, heading, serviceIcon } from "../components.js";
import { fragment, h } from "../dom.js";
import { moment, money } from "../format.js";
import { t } from "../i18n.js";
import { payments } from "../resources.js";

export async function show({ signal }) {
  const list = await growingList({
    className: "tickets",
    load: (page) => payments.history({ page }, { signal }),
    row: purchaseRow,
    empty: () => emptyState({ symbol: "receipt", title: t("purchases.empty_title"), text: t("purchases.empty_text"), link: "/", linkText: t("vouchers.to_shop") }),
  });
  return fragment(heading(t("purchases.title"), t("purchases.lead")), tabs("/purchases"), list);
}

/** The two histories, as links. */
export function tabs(current) {
  const link = (address, text) => h("a", { class: "chip", href: address, "aria-current": address === current ? "page" : null }, text);
  return h("nav", { class: "chips", "aria-label": t("purchases.tabs") }, link("/purchases", t("purchases.tab")), link("/redemptions", t("redemptions.tab")));
}

function purchaseRow(transaction) {
  return h(
    "a",
    { class: "ticket", href: `/purchase?id=${transaction.id}` },
    h("span", { class: "ticket-icon" }, serviceIcon(transaction.voucher_type.service_type)),
    h(
      "span",
      { class: "ticket-body" },
      h("strong", {}, t("purchases.row", { count: transaction.quantity, name: transaction.voucher_type.name })),
      h("time", { class: "quiet", datetime: transaction.created_at }, moment(transaction.created_at)),
    ),
    h("span", { class: "ticket-stub" }, badge("transaction", transaction.status), h("span", {}, money(transaction.amount, transaction.currency))),
  );
}
