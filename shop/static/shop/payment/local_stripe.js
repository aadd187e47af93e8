// Paying at the local Stripe, in development: this page takes the number of a test card and sends it there itself.
// With a real account that is Stripe.js's work (stripe_js.js), and no page should do it.

import { openDialog } from "../components.js";
import { h } from "../dom.js";
import { field, showFieldErrors } from "../forms.js";
import { t } from "../i18n.js";

const CARDS = [
  ["works", "4242 4242 4242 4242"],
  ["declined", "4000 0000 0000 0002"],
  ["funds", "4000 0000 0000 9995"],
  ["secure", "4000 0027 6000 3184"],
];
// What the local Stripe says is wrong with which field.
const FIELD_OF = { "payment_method_data[card][number]": "number", number: "number", exp_month: "expiry", exp_year: "expiry", cvc: "cvc" };
const POLL_MS = 500;

export async function mount(box, { clientSecret, publishableKey, origin, signal }) {
  const number = field({ name: "number", label: t("card.number"), inputmode: "numeric", autocomplete: "cc-number", placeholder: "4242 4242 4242 4242" });
  const expiry = field({ name: "expiry", label: t("card.expiry"), inputmode: "numeric", autocomplete: "cc-exp", placeholder: "12 / 40" });
  const cvc = field({ name: "cvc", label: t("card.cvc"), inputmode: "numeric", autocomplete: "cc-csc", placeholder: "123", maxlength: 4 });
  const fill = (card) => {
    for (const [element, value] of [[number, card], [expiry, "12 / 40"], [cvc, "123"]]) {
      const input = element.querySelector("input");
      input.value = value;
      input.dispatchEvent(new Event("input", { bubbles: true }));
    }
  };
  const samples = CARDS.map(([name, card]) => h("button", { type: "button", class: "chip", onclick: () => fill(card) }, t(`card.${name}`)));
  box.append(
    h("div", { class: "test-cards" }, h("p", { id: "test-cards" }, t("card.test")), h("div", { class: "chips", role: "group", "aria-labelledby": "test-cards" }, samples)),
    number,
    h("div", { class: "two" }, expiry, cvc),
  );
  const intent = clientSecret.split("_secret_")[0];
  const stripe = (method, path, form) => callStripe(`${origin}/v1/payment_intents/${intent}${path}`, method, { key: publishableKey, client_secret: clientSecret, ...form }, signal);

  return {
    async confirm() {
      const [month, year] = valueOf(expiry).split(/\D+/);
      const form = box.closest("form");
      if (!valueOf(number)) return complain(form, "number", t("field_errors.any.required"));
      if (!month || !year) return complain(form, "expiry", t("card.expiry_wrong"));
      if (!valueOf(cvc)) return complain(form, "cvc", t("field_errors.any.required"));
      const card = { number: valueOf(number).replace(/\D/g, ""), exp_month: month, exp_year: year.length === 2 ? `20${year}` : year, cvc: valueOf(cvc) };
      const fields = Object.entries(card).map(([name, value]) => [`payment_method_data[card][${name}]`, value]);
      const { result, error } = await stripe("POST", "/confirm", { "payment_method_data[type]": "card", ...Object.fromEntries(fields) });
      // Paid before, such as from another tab: then there is nothing wrong.
      if (error?.payment_intent?.status === "succeeded") return { status: "succeeded" };
      if (error && FIELD_OF[error.param]) return complain(form, FIELD_OF[error.param], error.message);
      if (error) return { error: error.message };
      if (result.status !== "requires_action") return { status: result.status };
      return authenticate(result, () => stripe("GET", ""), signal);
    },
  };
}

const valueOf = (element) => element.querySelector("input").value.trim();

/** Say it beside the field, where the person looks. */
function complain(form, name, text) {
  showFieldErrors(form, { [name]: text });
  return {};
}

/** 3-D Secure: the bank's page in a dialog, until the payment says how it ended. */
function authenticate(intent, retrieve, signal) {
  const address = intent.next_action.use_stripe_sdk.stripe_js;
  return new Promise((resolve, reject) => {
    const frame = h("iframe", { src: address, title: t("card.bank"), class: "bank" });
    const { close } = openDialog({
      title: t("card.bank"),
      content: h("div", {}, h("p", { class: "quiet" }, t("card.bank_text")), frame),
      onclose: () => {
        clearInterval(timer);
        resolve({ error: t("card.canceled") });
      },
    });
    signal.addEventListener("abort", close);
    const timer = setInterval(async () => {
      try {
        const { result } = await retrieve();
        if (!result || result.status === "requires_action") return;
        const failed = result.status === "requires_payment_method";
        resolve(failed ? { error: result.last_payment_error?.message ?? t("card.canceled") } : { status: result.status });
        close();
      } catch (error) {
        reject(error);
        close();
      }
    }, POLL_MS);
  });
}

/** `{result}`, or `{error}` as Stripe words it. */
async function callStripe(url, method, form, signal) {
  const params = new URLSearchParams(form);
  let answer;
  try {
    answer = method === "GET" ? await fetch(`${url}?${params}`, { signal }) : await fetch(url, { method, body: params, signal });
  } catch (error) {
    if (signal.aborted) throw error;
    return { error: { message: t("buy.no_stripe") } };
  }
  const document = await answer.json();
  return answer.ok ? { result: document } : { error: document.error };
}
