// Where a bank leads back to after a payment that left the page: /payment?payment_intent=…&redirect_status=…

import { emptyState, notify } from "../components.js";
import { fragment, h } from "../dom.js";
import { t } from "../i18n.js";
import { payments } from "../resources.js";
import { go } from "../router.js";
import { forgetKey } from "./buy.js";

export async function show({ query }) {
  const intent = query.get("payment_intent");
  if (!intent) return outcome("nothing");
  try {
    const { transaction } = await payments.confirm(intent);
    forgetKey(transaction); // buying the same again is a new purchase
    notify(t("buy.done"));
    // After this view is shown: the address leads on to the purchase.
    queueMicrotask(() => go(`/purchase?id=${transaction.id}`, { replace: true }));
    return h("h1", {}, t("payment.succeeded"));
  } catch (problem) {
    if (problem.code !== "payment_not_completed") throw problem;
    return outcome(problem.document.stripe_status === "processing" ? "processing" : "failed");
  }
}

function outcome(name) {
  const waits = name === "processing";
  return fragment(
    h("h1", {}, t(`payment.${name}_title`)),
    emptyState({
      symbol: waits ? "clock" : "warning",
      title: t(`payment.${name}_title`),
      text: t(`payment.${name}_text`),
      link: waits ? "/purchases" : "/",
      linkText: waits ? t("nav.purchases") : t("nav.shop"),
    }),
  );
}
