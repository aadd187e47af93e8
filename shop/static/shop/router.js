// Which view is shown: by the address, with the browser's history. A view is a module that exports `show(context)` and
// returns the content, whose h1 is the title of the page; `context` has `query` and `fragment` (URLSearchParams), and a
// `signal` that ends when the person goes on. One that exports `isPublic` is shown without signing in, and one that exports
// `isForVisitors` only so. With `hasSecret` the fragment is a code or a token: it is taken out of the address bar.

import { h } from "./dom.js";
import { problemPanel } from "./components.js";
import { shopName, t } from "./i18n.js";
import { currentUser } from "./session.js";
import { load, save, tab } from "./storage.js";

const ROUTES = {
  "/": () => import("./views/home.js"),
  "/account": () => import("./views/account.js"),
  "/buy": () => import("./views/buy.js"),
  "/cancel-email-change": () => import("./views/cancel_email_change.js"),
  "/change-email": () => import("./views/change_email.js"),
  "/confirm-email": () => import("./views/confirm_email.js"),
  "/forgot-password": () => import("./views/forgot_password.js"),
  "/payment": () => import("./views/payment.js"),
  "/purchase": () => import("./views/purchase.js"),
  "/purchases": () => import("./views/purchases.js"),
  "/redeem": () => import("./views/redeem.js"),
  "/redemptions": () => import("./views/redemptions.js"),
  "/reset-password": () => import("./views/reset_password.js"),
  "/sign-in": () => import("./views/sign_in.js"),
  "/sign-up": () => import("./views/sign_up.js"),
  "/unsubscribe": () => import("./views/unsubscribe.js"),
  "/voucher": () => import("./views/voucher.js"),
  "/vouchers": () => import("./views/vouchers.js"),
};

let current = new AbortController();
let afterShow = () => {};

/** Begin: show the view of the address, and follow links and the browser's own buttons. */
export function start(onShow) {
  afterShow = onShow;
  addEventListener("popstate", () => render());
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !plain || link.target || link.hasAttribute("download") || event.defaultPrevented) return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || !(url.pathname in ROUTES) || link.matches(".skip")) return;
    event.preventDefault();
    go(url);
  });
  return render({ first: true });
}

/** Go to an address of the shop. */
export function go(url, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", url);
  return render();
}

/** Where the person wanted to go before they had to sign in; forgotten with that. */
export function takeDestination() {
  const destination = load("destination", tab) ?? "/vouchers";
  save("destination", null, tab);
  return destination;
}

/** Show the view of the address anew. */
export async function render({ first = false } = {}) {
  current.abort();
  const mine = (current = new AbortController());
  const main = document.getElementById("main");
  const route = ROUTES[location.pathname];
  main.setAttribute("aria-busy", "true");
  // A view that is there at once shows no sign of loading; one that is not shows it soon.
  const loading = setTimeout(() => main.replaceChildren(loadingSign()), 250);
  let content;
  try {
    content = await contentOf(route, mine.signal);
  } catch (problem) {
    if (!mine.signal.aborted) console.debug(problem);
    content = problemPanel(problem, () => render());
  } finally {
    clearTimeout(loading);
  }
  if (mine.signal.aborted) return; // the person is elsewhere by now
  main.replaceChildren(content);
  main.removeAttribute("aria-busy");
  const title = main.querySelector("h1");
  document.title = title ? `${title.textContent} · ${shopName}` : shopName;
  afterShow();
  if (first) return;
  scrollTo(0, 0);
  // Whoever does not see hears where they are.
  title?.setAttribute("tabindex", "-1");
  (main.querySelector("[autofocus]") ?? title)?.focus({ preventScroll: true });
}

async function contentOf(route, signal) {
  const view = await route();
  // A secret that was taken out of the address is kept beside it, for a reload and for the way back.
  const fragment = location.hash.slice(1) || history.state?.fragment || "";
  const address = location.pathname + location.search;
  if (!view.isPublic && !currentUser()) {
    save("destination", fragment ? `${address}#${fragment}` : address, tab);
    return elsewhere("/sign-in", signal);
  }
  if (view.isForVisitors && currentUser()) return elsewhere("/vouchers", signal);
  if (view.hasSecret && location.hash) history.replaceState({ fragment }, "", address);
  return view.show({ query: new URLSearchParams(location.search), fragment: new URLSearchParams(fragment), signal });
}

function elsewhere(path, signal) {
  history.replaceState(null, "", path);
  return contentOf(ROUTES[path], signal);
}

function loadingSign() {
  return h("div", { class: "loading" }, h("span", { class: "spinner", "aria-hidden": "true" }), t("loading"));
}
