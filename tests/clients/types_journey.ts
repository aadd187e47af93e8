// The journey of a buyer, by openapi-fetch over the types that openapi-typescript generated.

import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";
import { payByCard } from "./local_stripe.js";

type Purchase = components["schemas"]["PurchaseInputRequest"];
type Redemption = components["schemas"]["RedeemInputRequest"];

const api = createClient<paths>({ baseUrl: process.env.SITE });

function must<T>(result: { data?: T; error?: unknown }): T {
  if (result.data === undefined) throw new Error(JSON.stringify(result.error));
  return result.data;
}

const email = "types@example.com";
const password = "plums in the icebox";
const session = must(
  await api.POST("/api/auth/register/", {
    body: { email, password, password_confirm: password, first_name: "Ama" },
  }),
);
api.use({
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${session.access}`);
  },
});

const [type] = must(await api.GET("/api/vouchers/types/"));
if (!type) throw new Error("nothing is on sale");
const wanted: Purchase = { voucher_type_id: type.id, quantity: 2 };
const header = { "Idempotency-Key": crypto.randomUUID() };
const purchase = must(await api.POST("/api/vouchers/purchase/", { body: wanted, params: { header } }));
await payByCard(purchase.publishable_key, purchase.client_secret);
const intent = purchase.transaction.stripe_payment_intent_id;
if (intent === null) throw new Error("no payment intent");
const paid = must(await api.POST("/api/payments/confirm-payment/", { body: { payment_intent_id: intent } }));

const redemption: Redemption = { code: paid.voucher_codes[0] ?? "" };
const redeemed = must(await api.POST("/api/vouchers/redeem/", { body: redemption }));
const again = await api.POST("/api/vouchers/redeem/", { body: redemption });
if (again.error?.code !== "voucher_used_up") throw new Error("it was redeemed twice");

const history = must(await api.GET("/api/payments/history/", { params: { query: { page_size: 1 } } }));
const [transaction] = history.results;
if (!transaction) throw new Error("no history");
const refund = must(
  await api.POST("/api/payments/refund/request/", { body: { payment_id: transaction.id, reason: "Bought twice" } }),
);
must(await api.POST("/api/auth/logout/", { body: {} }));
const ended = await api.GET("/api/users/profile/");
if (ended.error?.code !== "token_invalid") throw new Error("the session goes on");

const status: components["schemas"]["VoucherStatus"] = redeemed.voucher.status;
console.log(JSON.stringify({ email, codes: paid.voucher_codes, status, count: history.count, refunded: refund.voucher_codes }));
