// Another address for an account, with the link that was mailed there: /change-email#token=…

import { noteSignedIn, noteSignedOut } from "../api.js";
import { t } from "../i18n.js";
import { account } from "../resources.js";
import { currentUser, setUser } from "../session.js";
import { linkPage } from "./link_page.js";

export const isPublic = true;
export const hasSecret = true;

export async function show({ fragment: parts }) {
  return linkPage({
    token: parts.get("token"),
    title: t("change_email.title"),
    lead: t("change_email.lead"),
    button: t("change_email.button"),
    act: change,
    after: {
      title: t("change_email.done_title"),
      text: t("change_email.done_text"),
      link: () => (currentUser() ? "/account" : "/sign-in"),
      linkText: () => (currentUser() ? t("nav.account") : t("nav.sign_in")),
    },
    again: { link: "/account", linkText: t("nav.account") },
  });
}

async function change(token) {
  await account.confirmEmailChange(token);
  if (!currentUser()) return;
  // All sessions of the account have ended. Signed in to it, this browser has got the cookies of a new one.
  noteSignedIn();
  try {
    setUser(await account.profile());
  } catch (problem) {
    if (problem.status !== 401) throw problem;
    noteSignedOut();
    setUser(null);
  }
}
