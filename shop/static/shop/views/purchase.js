// One purchase: /purchase?id=… Its vouchers, the receipt, and asking for the money back.

import { newKey } from "../api.js";
import { actionButton, badge, banner, emptyState, facts, notify, openDialog, saveFile, ticket } from "../components.js";
import { fragment, h, icon } from "../dom.js";
import { field, form } from "../forms.js";
import { masked, moment, money } from "../format.js";
import { find, t } from "../i18n.js";
import { payments } from "../resources.js";
import { render } from "../router.js";

const REASONS = ["not_needed", "wrong_voucher", "bought_twice", "other"];
const REFUNDS_PER_PAGE = 100;

export async function show({ query, signal }) {
  const id = query.get("id") ?? "";
  if (!/^[1-9]\d{0,17}$/.test(id)) {
    return fragment(h("h1", {}, t("not_found.title")), emptyState({ symbol: "receipt", title: t("not_found.title"), text: t("not_found.text"), link: "/purchases", linkText: t("nav.purchases") }));
  }
  const [transaction, refunds] = await Promise.all([payments.detail(id, { signal }), refundsOf(id, signal)]);
  const paid = transaction.completed_at !== null;
  return fragment(
    h("p", { class: "back" }, h("a", { href: "/purchases" }, "← ", t("nav.purchases"))),
    h("header", { class: "heading" }, h("div", {}, h("h1", {}, t("purchases.row", { count: transaction.quantity, name: transaction.voucher_type.name }))), badge("transaction", transaction.status)),
    !paid && banner("info", find(`purchase.${transaction.status}`) ?? t("purchase.pending")),
    transaction.vouchers.length > 0 && h("section", {}, h("h2", {}, t("purchase.vouchers")), h("ul", { class: "plain tickets" }, transaction.vouchers.map((voucher) => h("li", {}, ticket(voucher))))),
    refunds.length > 0 && h("section", {}, h("h2", {}, t("purchase.refunds")), h("ul", { class: "plain stack" }, refunds.map((refund) => h("li", {}, refundPanel(refund))))),
    h(
      "section",
      { class: "panel" },
      h("h2", {}, t("purchase.payment")),
      facts(
        [t("purchase.number"), String(transaction.id)],
        [t("purchase.receipt_number"), transaction.receipt_number && String(transaction.receipt_number)],
        [t("purchase.at"), moment(transaction.completed_at ?? transaction.created_at)],
        [t("buy.total"), money(transaction.amount, transaction.currency)],
        [t("purchase.refunded"), Number(transaction.amount_refunded) > 0 ? money(transaction.amount_refunded, transaction.currency) : null],
      ),
      paid && h("div", { class: "actions" }, actions(transaction)),
    ),
  );
}

/** All refunds of one transaction. The API lists those of all payments, newest first; few people have more than one page. */
async function refundsOf(id, signal) {
  const { results } = await payments.refunds({ page_size: REFUNDS_PER_PAGE }, { signal });
  return results.filter((refund) => String(refund.payment_id) === id);
}

function refundPanel(refund) {
  return h(
    "article",
    { class: "panel refund" },
    h("div", { class: "heading" }, h("strong", {}, money(refund.amount, refund.currency)), badge("refund", refund.status)),
    h("p", {}, find(`refund.${refund.status}`) ?? ""),
    facts([t("refund.reason"), refund.reason], [t("refund.vouchers"), refund.voucher_codes.map(masked).join(", ") || null], [t("refund.note"), refund.decision_note || null], [t("purchase.at"), moment(refund.created_at)]),
  );
}

function actions(transaction) {
  const refundable = Number(transaction.amount) > 0 && transaction.vouchers.some((voucher) => voucher.is_valid && voucher.uses_remaining === voucher.total_uses);
  return [
    actionButton({ symbol: "download", text: t("purchase.receipt"), task: async () => saveFile(await payments.receipt(transaction.id), `receipt-${transaction.receipt_number ?? transaction.id}.pdf`) }),
    actionButton({
      symbol: "mail",
      text: t("purchase.mail"),
      task: async () => {
        await payments.mailReceipt(transaction.id);
        notify(t("purchase.mailed"));
      },
    }),
    refundable && h("button", { class: "button", type: "button", onclick: () => askForRefund(transaction) }, icon("receipt"), t("refund.ask")),
  ].filter(Boolean);
}

function askForRefund(transaction) {
  const key = newKey(); // of this dialog: sent twice, it is one request
  // Sent as the words that the person chose: staff read them.
  const reason = h("select", {}, REASONS.map((each) => h("option", {}, t(`reasons.${each}`))));
  const { close } = openDialog({
    title: t("refund.ask"),
    content: form({
      fields: [
        h("p", {}, t("refund.text")),
        field({ name: "reason", label: t("refund.reason"), control: reason }),
        field({ name: "notes", label: t("refund.notes"), rows: 3, maxlength: 2000, optional: true }),
      ],
      button: t("refund.send"),
      submit: async (values) => {
        await payments.requestRefund({ payment_id: transaction.id, ...values }, key);
        close();
        notify(t("refund.sent"));
        await render();
      },
    }),
  });
}
