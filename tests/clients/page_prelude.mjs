// What a browser has and node has not, for the snippets of docs/api.md: cookies, a page, and Stripe.js.
// Stripe.js is played as it works: the card goes to Stripe by the publishable key and the client secret.

const jar = new Map();
const sendRequest = globalThis.fetch;

globalThis.fetch = async (url, options = {}) => {
  const withCookies = options.credentials === "include";
  const headers = new Headers(options.headers);
  if (withCookies) headers.set("Cookie", [...jar].map((pair) => pair.join("=")).join("; "));
  const answer = await sendRequest(url, { ...options, headers });
  if (withCookies) {
    if (!answer.ok) throw new Error(`${url}: ${await answer.text()}`);
    for (const cookie of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
      if (value && value !== '""') jar.set(name, value);
      else jar.delete(name);
    }
  }
  return answer;
};

globalThis.location = { href: "http://localhost:3000/" };
globalThis.document = {
  get cookie() {
    return [...jar].filter(([name]) => name.endsWith("csrftoken")).map((pair) => pair.join("=")).join("; ");
  },
};

globalThis.Stripe = (key) => ({
  elements: ({ clientSecret }) => ({ clientSecret, create: () => ({ mount: () => {} }) }),
  async confirmPayment({ elements: { clientSecret } }) {
    const intent = clientSecret.split("_secret_")[0];
    const answer = await sendRequest(`${process.env.STRIPE}/v1/payment_intents/${intent}/confirm`, {
      method: "POST",
      body: new URLSearchParams({ key, client_secret: clientSecret, payment_method: "pm_card_visa" }),
    });
    const body = await answer.json();
    return answer.ok ? { paymentIntent: body } : { error: body.error };
  },
});
