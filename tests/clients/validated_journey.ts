// The journey of a buyer, by the client of @hey-api/openapi-ts, which checks each request and answer by zod.

import { client } from "./hey/client.gen.js";
import {
  analyticsUser,
  confirmPayment,
  export_,
  login,
  logout,
  myVouchers,
  paymentHistory,
  profile,
  profileUpdate,
  purchase,
  redeem,
  refunds,
  register,
  requestRefund,
  tokenRefresh,
  transactionDetail,
  usageHistory,
  voucherDetail,
  voucherStats,
  voucherTypes,
} from "./hey/sdk.gen.js";
import { payByCard } from "./local_stripe.js";

const throwOnError = true;
const email = "validated@example.com";
const password = "plums in the icebox";
let access: string | undefined;
client.setConfig({ baseUrl: process.env.SITE ?? "", auth: (scheme) => (scheme.scheme === "bearer" ? access : undefined) });

await register({
  throwOnError,
  body: { email, password, password_confirm: password, first_name: "Ama", phone_number: "+233 20 123 4567" },
});
const signedIn = (await login({ throwOnError, body: { email, password } })).data;
const pair = (await tokenRefresh({ throwOnError, body: { refresh: signedIn.refresh ?? "" } })).data;
access = pair.access;
await profileUpdate({ throwOnError, body: { date_of_birth: "1999-03-06" } });

const [type] = (await voucherTypes({ throwOnError })).data;
if (!type) throw new Error("nothing is on sale");
const key = crypto.randomUUID();
const started = (
  await purchase({
    throwOnError,
    headers: { "Idempotency-Key": key },
    body: { voucher_type_id: type.id, quantity: 2 },
  })
).data;
await payByCard(started.publishable_key, started.client_secret);
const intent = started.transaction.stripe_payment_intent_id;
if (intent === null) throw new Error("no payment intent");
const paid = (await confirmPayment({ throwOnError, body: { payment_intent_id: intent } })).data;

const code = paid.voucher_codes[0] ?? "";
const redeemed = (await redeem({ throwOnError, body: { code, details: { desk: "Accra 3" } } })).data;
const again = await redeem({ body: { code } });
if (again.error?.code !== "voucher_used_up") throw new Error("it was redeemed twice");

const history = (await paymentHistory({ throwOnError, query: { page_size: 1 } })).data;
const detail = (await transactionDetail({ throwOnError, path: { transaction_id: started.transaction.id } })).data;
const refund = (
  await requestRefund({ throwOnError, body: { payment_id: detail.id, reason: "Bought twice" } })
).data;
const inactive = await redeem({ body: { code: refund.voucher_codes[0] ?? "" } });
if (inactive.error?.code !== "voucher_inactive" || inactive.error.reason !== "refund_pending") throw new Error("no reason");
// What is read of one's own, each answer checked.
const readings = [
  refunds({ throwOnError }),
  myVouchers({ throwOnError, query: { status: "inactive" } }),
  usageHistory({ throwOnError }),
  voucherDetail({ throwOnError, path: { code } }),
  voucherStats({ throwOnError }),
  analyticsUser({ throwOnError, query: { days: 2 } }),
  profile({ throwOnError }),
  export_({ throwOnError }),
];
await Promise.all(readings);

// A request that the document forbids never leaves.
const refused = await purchase({ body: { voucher_type_id: type.id, quantity: 11 } }).catch((error: unknown) => error);
if (!(refused instanceof Error || (refused as { error?: unknown }).error)) throw new Error("nothing is checked");

await logout({ throwOnError, body: {} });
const ended = await profile();
if (ended.error?.code !== "token_invalid") throw new Error("the session goes on");

const { status } = redeemed.voucher;
console.log(JSON.stringify({ email, codes: paid.voucher_codes, status, count: history.count, refunded: refund.voucher_codes }));
