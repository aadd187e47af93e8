// What the shop does with the API, one line a call: the addresses, and which of them may be repeated under a key.

import { call, noteSignedIn, noteSignedOut } from "./api.js";

const get = (path, options) => call("GET", path, options);
const post = (path, body = {}, options = {}) => call("POST", path, { body, ...options });

/** A call after which the cookies are new. */
async function signingIn(request) {
  const answer = await request;
  noteSignedIn();
  return answer;
}

export const account = {
  signUp: (form) => signingIn(post("/auth/register/", { ...form, use_cookies: true })),
  signIn: (form) => signingIn(post("/auth/login/", { ...form, use_cookies: true })),
  async signOut(everywhere = false) {
    try {
      await post("/auth/logout/", { everywhere }, { repeatable: true });
    } catch (problem) {
      if (problem.status !== 401) throw problem; // 401: it had ended before
    }
    noteSignedOut();
  },
  profile: (options) => get("/users/profile/", options),
  update: (fields) => call("PATCH", "/users/profile/", { body: fields, repeatable: true }),
  changePassword: (form) => signingIn(post("/users/change-password/", form)),
  requestPasswordReset: (email) => post("/auth/password-reset/", { email }),
  resetPassword: (form) => post("/auth/password-reset-confirm/", form),
  confirmEmail: (token) => post("/auth/confirm-email/", { token }),
  resendConfirmation: (email) => post("/auth/resend-confirmation/", { email }),
  emailChange: (options) => get("/users/change-email/", options),
  changeEmail: (form) => post("/users/change-email/", form),
  cancelEmailChange: () => call("DELETE", "/users/change-email/", { repeatable: true }),
  confirmEmailChange: (token) => post("/auth/change-email-confirm/", { token }),
  cancelEmailChangeByLink: (token) => post("/auth/change-email-cancel/", { token }),
  unsubscribe: (token) => post("/users/unsubscribe/", { token }, { repeatable: true }),
  exportData: () => get("/users/export/", { as: "blob" }),
  async close(password) {
    await call("DELETE", "/users/profile/", { body: { password } });
    noteSignedOut();
  },
};

export const vouchers = {
  types: (options) => get("/vouchers/types/", options),
  mine: (query, options) => get("/vouchers/my-vouchers/", { query, ...options }),
  detail: (code, options) => get(`/vouchers/detail/${encodeURIComponent(code)}/`, options),
  qrAddress: (code) => `/api/vouchers/detail/${encodeURIComponent(code)}/qr/`,
  pdf: (code) => get(`/vouchers/detail/${encodeURIComponent(code)}/pdf/`, { as: "blob" }),
  redeem: (code, key) => post("/vouchers/redeem/", { code }, { key }),
  redemptions: (query, options) => get("/vouchers/usage-history/", { query, ...options }),
};

export const payments = {
  start: (typeId, quantity, key) => post("/vouchers/purchase/", { voucher_type_id: typeId, quantity }, { key }),
  confirm: (intentId) => post("/payments/confirm-payment/", { payment_intent_id: intentId }, { repeatable: true }),
  history: (query, options) => get("/payments/history/", { query, ...options }),
  detail: (id, options) => get(`/payments/transaction/${id}/`, options),
  receipt: (id) => get(`/payments/transaction/${id}/receipt/`, { as: "blob" }),
  mailReceipt: (id) => post(`/payments/transaction/${id}/receipt/`),
  requestRefund: (form, key) => post("/payments/refund/request/", form, { key }),
  refunds: (query, options) => get("/payments/refunds/", { query, ...options }),
};
