// One's own vouchers.

import { emptyState, growingList, heading, ticket } from "../components.js";
import { fragment, h, icon } from "../dom.js";
import { t } from "../i18n.js";
import { vouchers } from "../resources.js";
import { go } from "../router.js";

const STATUSES = ["", "active", "used", "expired", "inactive"];

export async function show({ query, signal }) {
  const status = query.get("status") ?? "";
  const search = query.get("search") ?? "";
  const narrowed = Boolean(status || search);
  const list = await growingList({
    className: "tickets",
    load: (page) => vouchers.mine({ page, status, search }, { signal }),
    row: ticket,
    empty: () =>
      narrowed
        ? emptyState({ symbol: "ticket", title: t("vouchers.none_title"), text: t("vouchers.none_text"), link: "/vouchers", linkText: t("vouchers.all") })
        : emptyState({ symbol: "ticket", title: t("vouchers.empty_title"), text: t("vouchers.empty_text"), link: "/", linkText: t("vouchers.to_shop") }),
  });
  return fragment(
    heading(t("vouchers.title"), t("vouchers.lead"), h("a", { class: "button", href: "/redeem" }, icon("scan"), t("nav.redeem"))),
    filters(status, search),
    list,
  );
}

function filters(status, search) {
  const address = (values) => `/vouchers${toQuery({ status, search, ...values })}`;
  const input = h("input", { type: "search", name: "search", value: search, "aria-label": t("vouchers.search"), placeholder: t("vouchers.search"), maxlength: 500 });
  const form = h("form", { class: "search", role: "search" }, input, h("button", { class: "button", type: "submit" }, t("vouchers.find")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go(address({ search: input.value.trim() }));
  });
  const links = STATUSES.map((each) =>
    h("a", { class: "chip", href: address({ status: each }), "aria-current": each === status ? "true" : null }, each ? t(`status.voucher.${each}`) : t("vouchers.every")),
  );
  return h("div", { class: "filters" }, h("nav", { class: "chips", "aria-label": t("vouchers.filter") }, links), form);
}

function toQuery(values) {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value)).toString();
  return query && `?${query}`;
}
