// One voucher: /voucher#code=… The code, its QR code, the paper, and what happened to it.

import { actionButton, badge, emptyState, expiresSoon, expiryText, facts, notify, saveFile, serviceLabel, stateText } from "../components.js";
import { fragment, h, icon } from "../dom.js";
import { day, moment, money } from "../format.js";
import { find, t } from "../i18n.js";
import { vouchers } from "../resources.js";

export const hasSecret = true;

export async function show({ fragment: parts, signal }) {
  const code = parts.get("code");
  if (!code) {
    return fragment(
      h("h1", {}, t("voucher.none_title")),
      emptyState({ symbol: "ticket", title: t("voucher.none_title"), text: t("voucher.none_text"), link: "/vouchers", linkText: t("nav.vouchers") }),
    );
  }
  const voucher = await vouchers.detail(code, { signal });
  return fragment(
    h("p", { class: "back" }, h("a", { href: "/vouchers" }, "← ", t("nav.vouchers"))),
    h("h1", { class: "screen-only" }, voucher.voucher_type.name),
    paper(voucher),
    h("div", { class: "actions screen-only" }, actions(voucher)),
    h("div", { class: "columns screen-only" }, uses(voucher), history(voucher)),
  );
}

/** The voucher as it is also printed. */
function paper(voucher) {
  const copy = actionButton({
    symbol: "copy",
    text: t("voucher.copy"),
    kind: "small screen-only",
    task: async () => {
      await navigator.clipboard.writeText(voucher.code);
      notify(t("voucher.copied"));
    },
  });
  const qr = voucher.is_valid
    ? h("img", { class: "qr", src: vouchers.qrAddress(voucher.code), alt: t("voucher.qr"), width: 180, height: 180 })
    : h("div", { class: "qr no-qr" }, icon("warning"), h("span", {}, stateText(voucher)));
  const soon = voucher.is_valid && expiresSoon(voucher);
  const note = soon ? expiryText(voucher) : stateText(voucher);
  return h(
    "article",
    { class: `paper ${voucher.status}` },
    h(
      "div",
      { class: "paper-main" },
      h("div", { class: "paper-head" }, serviceLabel(voucher.voucher_type), badge("voucher", voucher.status)),
      h("h2", { class: "print-only" }, voucher.voucher_type.name),
      voucher.voucher_type.description && h("p", { class: "quiet" }, voucher.voucher_type.description),
      h("p", { class: "code-line" }, h("span", { class: "code" }, voucher.code), copy),
      facts(
        [t("voucher.value"), money(voucher.face_value, voucher.currency)],
        [t("voucher.uses"), t("voucher.uses_of", { left: voucher.uses_remaining, total: voucher.total_uses })],
        [t("voucher.valid_until"), day(voucher.expiry_date)],
        [t("voucher.bought"), day(voucher.purchase_date)],
      ),
      note && h("p", { class: "quiet" }, note),
    ),
    h("div", { class: "paper-stub" }, qr, voucher.is_valid && h("p", { class: "quiet" }, t("voucher.scan"))),
  );
}

function actions(voucher) {
  const name = `voucher-${voucher.code.slice(-4)}.pdf`;
  return [
    voucher.is_valid && h("a", { class: "button primary", href: `/redeem#code=${voucher.code}` }, icon("scan"), t("nav.redeem")),
    actionButton({ symbol: "download", text: t("voucher.pdf"), task: async () => saveFile(await vouchers.pdf(voucher.code), name) }),
    h("button", { class: "button", type: "button", onclick: () => print() }, icon("print"), t("voucher.print")),
  ].filter(Boolean);
}

function uses(voucher) {
  const rows = voucher.usages.map((usage) => h("li", {}, h("strong", {}, t("voucher.use_no", { number: usage.use_no })), h("time", { datetime: usage.used_at }, moment(usage.used_at))));
  return h("section", { class: "panel" }, h("h2", {}, t("voucher.uses_title")), rows.length ? h("ul", { class: "plain rows" }, rows) : h("p", { class: "quiet" }, t("voucher.no_uses")));
}

function history(voucher) {
  const rows = voucher.history.map((event) =>
    h(
      "li",
      {},
      h("div", {}, h("strong", {}, find(`history.${event.kind}`) ?? event.kind), event.reason && h("span", { class: "quiet" }, find(`inactive.${event.reason}`) ?? event.reason)),
      h("time", { datetime: event.at }, moment(event.at)),
    ),
  );
  return h("section", { class: "panel" }, h("h2", {}, t("voucher.history_title")), h("ul", { class: "plain rows" }, rows));
}
