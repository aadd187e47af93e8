// Buying: how many, then the card. The purchase has a key, so that however often it is sent there is one.

import { newKey } from "../api.js";
import { actionButton, banner, emptyState, notify, problemText, serviceIcon, serviceLabel, termsText, whileBusy } from "../components.js";
import { fragment, h } from "../dom.js";
import { field, form } from "../forms.js";
import { money, times } from "../format.js";
import { t } from "../i18n.js";
import { mountPayment } from "../payment/methods.js";
import { payments, vouchers } from "../resources.js";
import { go } from "../router.js";
import { load, save, tab } from "../storage.js";

const MAX_QUANTITY = 10;

export async function show({ query, signal }) {
  const types = await vouchers.types({ signal });
  const type = types.find((each) => String(each.id) === query.get("type"));
  if (!type) {
    return fragment(
      h("h1", {}, t("buy.gone_title")),
      emptyState({ symbol: "shop", title: t("buy.gone_title"), text: t("buy.gone_text"), link: "/", linkText: t("nav.shop") }),
    );
  }
  const step = h("div", { class: "panel" });
  const summary = h("aside", { class: "panel summary" });
  drawSummary(summary, type, 1);
  step.append(chooseQuantity(type, step, summary, signal));
  return fragment(h("h1", {}, t("buy.title", { name: type.name })), h("div", { class: "checkout" }, step, summary));
}

/** What is bought; once it was started, in the amount that the API says. */
function drawSummary(summary, type, quantity, transaction) {
  const total = transaction ? transaction.amount : times(type.price, quantity);
  summary.replaceChildren(
    h("div", { class: "offer-head" }, h("span", { class: "offer-icon" }, serviceIcon(type.service_type)), serviceLabel(type)),
    h("h2", {}, type.name),
    h("p", { class: "quiet" }, termsText(type)),
    h(
      "dl",
      { class: "sum" },
      h("div", {}, h("dt", {}, t("buy.quantity_times", { count: quantity })), h("dd", {}, money(transaction?.unit_price ?? type.price, type.currency))),
      h("div", { class: "total" }, h("dt", {}, t("buy.total")), h("dd", {}, money(total, type.currency))),
    ),
  );
}

function chooseQuantity(type, step, summary, signal) {
  const quantity = h(
    "select",
    {},
    Array.from({ length: MAX_QUANTITY }, (_, index) => h("option", { value: index + 1 }, index + 1)),
  );
  quantity.addEventListener("change", () => drawSummary(summary, type, Number(quantity.value)));
  const free = Number(type.price) === 0;
  return form({
    fields: [h("h2", {}, t("buy.how_many")), field({ name: "quantity", label: t("buy.quantity"), control: quantity, hint: t("buy.quantity_hint") })],
    button: free ? t("buy.get") : t("buy.to_payment"),
    submit: async (values) => {
      const purchase = await startPurchase(type, Number(values.quantity));
      if (purchase.client_secret === null) {
        await finish(purchase.transaction);
        return;
      }
      drawSummary(summary, type, purchase.transaction.quantity, purchase.transaction);
      await drawPayment(step, purchase, signal);
    },
  });
}

/** Start a purchase, or get the one that this tab started before and did not pay. */
async function startPurchase(type, quantity) {
  const name = `purchase-${type.id}-${quantity}`;
  const key = load(name, tab) ?? newKey();
  save(name, key, tab);
  try {
    return await payments.start(type.id, quantity, key);
  } catch (problem) {
    // That one is over, or the catalogue has changed: this is a new purchase, under a key of its own.
    if (!["purchase_canceled", "idempotency_key_reused"].includes(problem.code)) throw problem;
    save(name, newKey(), tab);
    return payments.start(type.id, quantity, load(name, tab));
  }
}

/** Forget the key of a purchase that is paid: the next one has a key of its own. */
export function forgetKey({ voucher_type: type, quantity }) {
  save(`purchase-${type.id}-${quantity}`, null, tab);
}

async function drawPayment(step, purchase, signal) {
  const message = h("div", { class: "form-message" });
  const amount = money(purchase.transaction.amount, purchase.transaction.currency);
  const pay = h("button", { class: "button primary wide", type: "submit", disabled: true }, t("buy.pay", { amount }));
  const title = h("h2", { tabindex: "-1" }, t("buy.card"));
  const fields = h("div", {});
  const element = h("form", { novalidate: true }, title, fields, message, h("div", { class: "actions" }, pay));
  step.replaceChildren(element);
  title.focus();
  let method;
  try {
    method = await mountPayment(fields, {
      clientSecret: purchase.client_secret,
      publishableKey: purchase.publishable_key,
      returnUrl: new URL("/payment", location.href).href,
      signal,
    });
  } catch (problem) {
    pay.replaceWith(actionButton({ text: t("try_again"), task: () => drawPayment(step, purchase, signal) }));
    message.replaceChildren(banner("error", problemText(problem)));
    return;
  }
  pay.disabled = false;
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    if (pay.disabled) return;
    message.replaceChildren();
    whileBusy(pay, async () => {
      const outcome = await method.confirm();
      if (outcome.error) message.replaceChildren(banner("error", outcome.error));
      else if (outcome.status) await confirm(purchase.transaction, message);
    }).catch((problem) => {
      if (problem.name !== "AbortError") message.replaceChildren(banner("error", problemText(problem)));
    });
  });
}

/** The bank has said yes: have the vouchers issued. */
async function confirm(transaction, message) {
  try {
    const answer = await payments.confirm(transaction.stripe_payment_intent_id);
    await finish(answer.transaction);
  } catch (problem) {
    if (problem.code !== "payment_not_completed" || problem.document.stripe_status !== "processing") throw problem;
    message.replaceChildren(banner("info", t("buy.processing")));
  }
}

async function finish(transaction) {
  forgetKey(transaction);
  notify(t("buy.done"));
  await go(`/purchase?id=${transaction.id}`);
}
