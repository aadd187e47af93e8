// Paying with Stripe.js: the card never touches this page. See https://docs.stripe.com/js

import { currentLanguage, t } from "../i18n.js";

const SCRIPT = "https://js.stripe.com/clover/stripe.js";

let loading = null;

/** Stripe's own script, which has to come from Stripe. Loaded once, when somebody is about to pay. */
function loadScript() {
  loading ??= new Promise((resolve, reject) => {
    if (window.Stripe) {
      resolve();
      return;
    }
    const script = document.createElement("script");
    script.src = SCRIPT;
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => {
      loading = null; // the next attempt begins anew
      script.remove();
      reject(new Error(t("buy.no_stripe")));
    });
    document.head.append(script);
  });
  return loading;
}

export async function mount(box, { clientSecret, publishableKey, returnUrl }) {
  await loadScript();
  const stripe = window.Stripe(publishableKey);
  const style = getComputedStyle(document.documentElement);
  const elements = stripe.elements({
    clientSecret,
    locale: currentLanguage(),
    appearance: {
      theme: matchMedia("(prefers-color-scheme: dark)").matches ? "night" : "stripe",
      variables: { colorPrimary: style.getPropertyValue("--accent").trim(), borderRadius: "10px" },
    },
  });
  elements.create("payment", { wallets: { applePay: "never", googlePay: "never" } }).mount(box);
  return {
    async confirm() {
      const { error, paymentIntent } = await stripe.confirmPayment({
        elements,
        confirmParams: { return_url: returnUrl },
        redirect: "if_required", // 3-D Secure is shown in the page; only other methods leave it
      });
      // Paid before, such as from another tab: then there is nothing wrong.
      if (error?.payment_intent?.status === "succeeded") return { status: "succeeded" };
      return error ? { error: error.message } : { status: paymentIntent.status };
    },
  };
}
