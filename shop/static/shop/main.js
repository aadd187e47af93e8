// Where the shop begins: words, session, the frame around the views, and the view of the address.

import { setSignedOutHandler } from "./api.js";
import { actionButton, notify, problemPanel, problemText } from "./components.js";
import { h, icon } from "./dom.js";
import * as i18n from "./i18n.js";
import { account } from "./resources.js";
import * as router from "./router.js";
import * as session from "./session.js";

const { t, shopName } = i18n;

function link(address, symbol, text) {
  return h("a", { href: address }, icon(symbol), h("span", {}, text));
}

/** The bar above all views: on a phone its links are at the bottom, in reach of the thumb. */
function drawBar() {
  const signedIn = session.currentUser() !== null;
  const links = [
    link("/", "shop", t("nav.shop")),
    signedIn && link("/vouchers", "ticket", t("nav.vouchers")),
    link("/redeem", "scan", t("nav.redeem")),
    signedIn && link("/purchases", "receipt", t("nav.purchases")),
    signedIn ? link("/account", "person", t("nav.account")) : link("/sign-in", "lock", t("nav.sign_in")),
  ];
  const brand = h("a", { class: "brand", href: "/" }, icon("ticket"), shopName);
  document.querySelector(".bar").replaceChildren(
    h("div", { class: "bar-inner" }, brand, h("nav", { "aria-label": t("nav.label") }, links.filter(Boolean))),
  );
  document.querySelector(".skip").textContent = t("skip");
  markCurrent();
}

function markCurrent() {
  const section = { "/voucher": "/vouchers", "/purchase": "/purchases", "/redemptions": "/purchases", "/buy": "/" };
  const here = section[location.pathname] ?? location.pathname;
  for (const each of document.querySelectorAll(".bar nav a")) {
    if (each.pathname === here) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
}

function drawFoot() {
  const options = Object.entries(i18n.LANGUAGES).map(([tag, name]) =>
    h("option", { value: tag, lang: tag, selected: tag === i18n.currentLanguage() }, name),
  );
  const choice = h("select", { "aria-label": t("foot.language") }, options);
  choice.addEventListener("change", async () => {
    await i18n.choose(choice.value);
    if (session.currentUser()) writeToThemIn(choice.value);
    drawFrame();
    document.querySelector(".foot select").focus();
    await router.render({ first: true });
  });
  const { mailPage } = document.documentElement.dataset;
  const mails = mailPage && h("a", { href: mailPage }, t("foot.mails"));
  const staff = session.currentUser()?.is_staff && h("a", { href: "/admin/" }, t("foot.admin"));
  document.querySelector(".foot").replaceChildren(
    h("div", { class: "foot-inner" }, h("p", {}, t("foot.about")), h("p", {}, h("a", { href: "/api/docs/" }, t("foot.docs")), mails || null, staff || null), choice),
  );
}

/** Have the mails to whoever is signed in written in the language that they have just chosen. */
async function writeToThemIn(language) {
  try {
    await account.update({ language });
  } catch (problem) {
    notify(problemText(problem));
  }
}

/** Whoever has not confirmed their address reads so on every page, with a way to get another link. */
function drawReminder() {
  const user = session.currentUser();
  const place = document.querySelector(".reminder");
  place.hidden = !user || user.email_confirmed;
  if (place.hidden) return;
  place.setAttribute("aria-label", t("confirm_email.reminder_label"));
  const send = actionButton({
    text: t("confirm_email.send"),
    kind: "small",
    task: async () => {
      await account.resendConfirmation(user.email);
      notify(t("confirm_email.sent"));
    },
  });
  place.replaceChildren(
    h("div", { class: "reminder-inner" }, icon("mail"), h("p", {}, t("confirm_email.reminder", { email: user.email }), " ", h("a", { href: "/account" }, t("confirm_email.wrong"))), send),
  );
}

function drawFrame() {
  drawBar();
  drawReminder();
  drawFoot();
}

async function start() {
  await i18n.start();
  try {
    await session.start();
  } catch (problem) {
    drawFrame();
    document.getElementById("main").replaceChildren(problemPanel(problem, () => location.reload()));
    return;
  }
  drawFrame();
  session.onUserChange(drawFrame);
  setSignedOutHandler(() => {
    if (!session.currentUser()) return;
    session.setUser(null);
    notify(t("signed_out"));
    router.render();
  });
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("main").focus();
  });
  await router.start(markCurrent);
}

start();
