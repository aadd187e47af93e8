// Which form takes the card: Stripe.js, or the local Stripe's. The page says which (shop/views.py).

import * as localStripe from "./local_stripe.js";
import * as stripeJs from "./stripe_js.js";

const origin = document.documentElement.dataset.localStripe;

/**
 * Show the fields for a card in `box`. Returns `{confirm}`, which pays and returns `{status}` (of the payment intent:
 * "succeeded" or "processing") or `{error}`, words for the person, who may try another card.
 *
 * `options`: clientSecret and publishableKey, as the API answered them; returnUrl, to which a bank may lead back; signal.
 */
export function mountPayment(box, options) {
  return origin ? localStripe.mount(box, { ...options, origin }) : stripeJs.mount(box, options);
}
