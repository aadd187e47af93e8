// Stopping a change of address with the link that the old one got: /cancel-email-change#token=…

import { t } from "../i18n.js";
import { account } from "../resources.js";
import { linkPage } from "./link_page.js";

export const isPublic = true;
export const hasSecret = true;

export async function show({ fragment: parts }) {
  return linkPage({
    token: parts.get("token"),
    title: t("cancel_email_change.title"),
    lead: t("cancel_email_change.lead"),
    button: t("cancel_email_change.button"),
    kind: "danger",
    act: account.cancelEmailChangeByLink,
    after: {
      title: t("cancel_email_change.done_title"),
      text: t("cancel_email_change.done_text"),
      link: () => "/forgot-password",
      linkText: () => t("cancel_email_change.new_password"),
    },
    again: { link: "/account", linkText: t("nav.account") },
  });
}
