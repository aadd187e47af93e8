// What several views show: badges, tickets, empty states, panels, lists that grow, and what a problem says.

import { fragment, h, icon } from "./dom.js";
import { day, masked, money, service } from "./format.js";
import { find, t } from "./i18n.js";

const SERVICE_ICONS = {
  exam_results: "exam",
  school_application: "school",
  placement_application: "place",
  document_verification: "document",
};

/** The icon of a service. */
export const serviceIcon = (type) => icon(SERVICE_ICONS[type] ?? "ticket");

/** What a problem says, in the person's language: by its code, else in the API's own words. */
export function problemText(problem) {
  if (problem.code === "validation_error" && Object.keys(problem.errors).length) {
    const [[field, [first]]] = Object.entries(problem.errors);
    return fieldErrorText(field, first);
  }
  const reason = problem.document?.reason;
  const minutes = Math.ceil((problem.retryAfter ?? 60) / 60);
  return (
    (reason && find(`inactive.${reason}`)) ??
    find(`problems.${problem.code}`, { count: minutes, minutes }) ??
    (problem.message || t("problems.unknown"))
  );
}

/** What is wrong with one field: {code, detail}. */
export function fieldErrorText(field, { code, detail }) {
  return find(`field_errors.${field}.${code}`) ?? find(`field_errors.any.${code}`) ?? detail;
}

/** A whole page that could not be shown, with a way to try again. */
export function problemPanel(problem, retry) {
  const title = problem.status === 404 ? t("not_found.title") : t("failed.title");
  return h(
    "section",
    { class: "panel empty" },
    icon("warning"),
    h("h1", {}, title),
    h("p", {}, problemText(problem)),
    h("button", { class: "button", type: "button", onclick: retry }, t("try_again")),
  );
}

/** A list or page with nothing in it: what it is for, and where to go. */
export function emptyState({ symbol, title, text, link, linkText }) {
  return h(
    "div",
    { class: "panel empty" },
    icon(symbol),
    h("h2", {}, title),
    h("p", {}, text),
    link && h("a", { class: "button primary", href: link }, linkText),
  );
}

/** A message in the page. `kind`: "error", "success" or "info"; an error is read out at once. */
export function banner(kind, ...content) {
  return h("div", { class: `banner ${kind}`, role: kind === "error" ? "alert" : "status" }, h("div", {}, ...content));
}

/** Say something briefly, without the person losing their place. */
export function notify(text) {
  const notice = h("p", { class: "notice" }, text);
  document.querySelector(".notices").append(notice);
  setTimeout(() => notice.remove(), 6000);
}

/** The title of a page, and a line under it. */
export function heading(title, lead, ...actions) {
  return h("header", { class: "heading" }, h("div", {}, h("h1", {}, title), lead && h("p", { class: "lead" }, lead)), actions);
}

/** A small word on a state. `kind` names a group of words, "voucher", "transaction" or "refund". */
export function badge(kind, status) {
  return h("span", { class: `badge ${status}` }, find(`status.${kind}.${status}`) ?? status);
}

/** A voucher in a list: a link to its page, the code in the fragment. */
export function ticket(voucher) {
  const uses = t("voucher.uses_left", { count: voucher.uses_remaining, total: voucher.total_uses });
  return h(
    "a",
    { class: `ticket ${voucher.status}`, href: voucherAddress(voucher) },
    h("span", { class: "ticket-icon" }, serviceIcon(voucher.voucher_type.service_type)),
    h(
      "span",
      { class: "ticket-body" },
      h("strong", {}, voucher.voucher_type.name),
      h("span", { class: "code-short" }, masked(voucher.code)),
      h("span", { class: "quiet" }, voucher.status === "active" ? `${uses} · ${expiryText(voucher)}` : stateText(voucher)),
    ),
    h(
      "span",
      { class: "ticket-stub" },
      badge("voucher", voucher.status),
      h("span", { class: "quiet" }, money(voucher.face_value, voucher.currency)),
    ),
  );
}

/** Where the shop shows a voucher. */
export const voucherAddress = (voucher) => `/voucher#code=${voucher.code}`;

const EXPIRES_SOON = 30; // days

/** Whether so few days are left of a voucher that they are counted. */
export const expiresSoon = (voucher) => voucher.days_until_expiry <= EXPIRES_SOON;

/** How long a voucher is good for. */
export function expiryText(voucher) {
  const days = voucher.days_until_expiry;
  if (voucher.status === "expired") return t("voucher.expired_on", { day: day(voucher.expiry_date) });
  if (days === 0) return t("voucher.expires_today");
  return expiresSoon(voucher)
    ? t("voucher.expires_in", { count: days })
    : t("voucher.expires_on", { day: day(voucher.expiry_date) });
}

/** Why a voucher can't be used, or an empty text. */
export function stateText(voucher) {
  if (voucher.status === "inactive") return find(`inactive.${voucher.inactive_reason}`) ?? "";
  if (voucher.status === "used") return t("voucher.used_up");
  return voucher.status === "expired" ? expiryText(voucher) : "";
}

/** What a type is good for, in one line. */
export function termsText(type) {
  return `${t("type.uses", { count: type.max_uses })} · ${t("type.validity", { count: type.validity_days })}`;
}

/** A line of names and values. Values that are null are left out with their names. */
export function facts(...pairs) {
  return h(
    "dl",
    { class: "facts" },
    pairs.filter(([, value]) => value != null).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/**
 * A paged list that grows. `load(page)` returns one page of the API, `row(item)` an element. Where there is nothing at
 * all, `empty()` stands in its place.
 */
export async function growingList({ load, row, empty, className = "stack" }) {
  const list = h("ul", { class: `plain ${className}` });
  const more = h("button", { class: "button wide", type: "button" }, t("show_more"));
  let page = 1;
  const add = async () => {
    const answer = await load(page);
    const rows = answer.results.map((item) => h("li", {}, row(item)));
    list.append(...rows);
    more.hidden = !answer.next;
    page += 1;
    return { answer, rows };
  };
  more.addEventListener("click", () =>
    whileBusy(more, async () => {
      const { rows } = await add();
      rows[0]?.querySelector("a, button")?.focus();
    }).catch((problem) => notify(problemText(problem))),
  );
  const { answer } = await add();
  return answer.count ? fragment(list, more) : empty();
}

/** Disable a button and say that it works, until the task has ended. Returns or throws what that does. */
export async function whileBusy(button, task) {
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  try {
    return await task();
  } finally {
    button.disabled = false;
    button.removeAttribute("aria-busy");
  }
}

/** A button that does one thing and says so if that fails. */
export function actionButton({ symbol, text, kind = "", task }) {
  const button = h("button", { class: `button ${kind}`, type: "button" }, symbol && icon(symbol), text);
  button.addEventListener("click", () =>
    whileBusy(button, task).catch((problem) => notify(problemText(problem))),
  );
  return button;
}

/** Give the person a file. */
export function saveFile(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/**
 * A dialog over the page. Returns `{element, close}`; `onclose` is called however it ends. The browser keeps the focus
 * inside and gives it back.
 */
export function openDialog({ title, content, onclose = () => {} }) {
  const close = h("button", { class: "button quiet", type: "button", "aria-label": t("close") }, "×");
  const heading = h("h2", { id: "dialog-title" }, title);
  const element = h("dialog", { class: "dialog", "aria-labelledby": "dialog-title" }, h("header", {}, heading, close), content);
  close.addEventListener("click", () => element.close());
  element.addEventListener("close", () => {
    element.remove();
    onclose();
  });
  document.body.append(element);
  element.showModal();
  return { element, close: () => element.close() };
}

/** The service of a voucher or a type as a quiet label, unless its name says the same. */
export function serviceLabel({ service_type: type, name }) {
  const text = service(type);
  return text.toLowerCase() === name.toLowerCase() ? null : h("span", { class: "eyebrow" }, text);
}
