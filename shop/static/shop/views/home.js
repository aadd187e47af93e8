// What is on sale.

import { emptyState, serviceIcon, serviceLabel, termsText } from "../components.js";
import { fragment, h } from "../dom.js";
import { money } from "../format.js";
import { t } from "../i18n.js";
import { vouchers } from "../resources.js";

export const isPublic = true;

export async function show({ signal }) {
  const types = await vouchers.types({ signal });
  return fragment(
    h("section", { class: "hero" }, h("h1", {}, t("home.title")), h("p", { class: "lead" }, t("home.lead"))),
    types.length
      ? h("ul", { class: "plain grid" }, types.map((type) => h("li", {}, offer(type))))
      : emptyState({ symbol: "shop", title: t("home.empty_title"), text: t("home.empty_text") }),
    h(
      "ol",
      { class: "steps" },
      ["choose", "pay", "use"].map((step) => h("li", {}, h("h2", {}, t(`home.${step}_title`)), h("p", {}, t(`home.${step}_text`)))),
    ),
  );
}

function offer(type) {
  const free = Number(type.price) === 0;
  return h(
    "article",
    { class: "offer" },
    h("div", { class: "offer-head" }, h("span", { class: "offer-icon" }, serviceIcon(type.service_type)), serviceLabel(type)),
    h("h2", {}, type.name),
    type.description && h("p", { class: "quiet" }, type.description),
    h("p", { class: "terms" }, termsText(type)),
    h(
      "div",
      { class: "offer-foot" },
      h("strong", { class: "price" }, free ? t("type.free") : money(type.price, type.currency)),
      h("a", { class: "button primary", href: `/buy?type=${type.id}`, "aria-label": t("home.buy_named", { name: type.name }) }, t("home.buy")),
    ),
  );
}
