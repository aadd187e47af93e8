// The redemptions that one has made, of whosever vouchers.

import { emptyState, growingList, heading, serviceIcon } from "../components.js";
import { fragment, h } from "../dom.js";
import { masked, moment } from "../format.js";
import { t } from "../i18n.js";
import { vouchers } from "../resources.js";
import { tabs } from "./purchases.js";

export async function show({ signal }) {
  const list = await growingList({
    className: "tickets",
    load: (page) => vouchers.redemptions({ page }, { signal }),
    row: redemptionRow,
    empty: () => emptyState({ symbol: "scan", title: t("redemptions.empty_title"), text: t("redemptions.empty_text"), link: "/redeem", linkText: t("nav.redeem") }),
  });
  return fragment(heading(t("redemptions.title"), t("redemptions.lead")), tabs("/redemptions"), list);
}

function redemptionRow(usage) {
  return h(
    "div",
    { class: "ticket" },
    h("span", { class: "ticket-icon" }, serviceIcon(usage.service_type)),
    h(
      "span",
      { class: "ticket-body" },
      h("strong", {}, usage.voucher_type_name),
      h("span", { class: "code-short" }, masked(usage.voucher_code)),
      h("time", { class: "quiet", datetime: usage.used_at }, moment(usage.used_at)),
    ),
    h("span", { class: "ticket-stub quiet" }, t("voucher.use_no", { number: usage.use_no })),
  );
}
