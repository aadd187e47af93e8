// Confirming the address of an account with the link from the mail: /confirm-email#token=…

import { t } from "../i18n.js";
import { account } from "../resources.js";
import { currentUser, setUser } from "../session.js";
import { linkPage } from "./link_page.js";

export const isPublic = true;
export const hasSecret = true;

export async function show({ fragment: parts }) {
  return linkPage({
    token: parts.get("token"),
    title: t("confirm_email.title"),
    lead: t("confirm_email.lead"),
    button: t("confirm_email.button"),
    act: confirm,
    alsoDone: ["email_already_confirmed"],
    after: {
      title: t("confirm_email.done_title"),
      text: t("confirm_email.done_text"),
      link: () => (currentUser() ? "/vouchers" : "/sign-in"),
      linkText: () => (currentUser() ? t("nav.vouchers") : t("nav.sign_in")),
    },
    again: { link: "/account", linkText: t("nav.account") },
  });
}

async function confirm(token) {
  await account.confirmEmail(token);
  // The link may be of another account than the one that is signed in here.
  if (currentUser()) setUser(await account.profile());
}
