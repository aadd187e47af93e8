// Turning reminders off with the link from one of them: /unsubscribe#token=…
// A press of the button does it, not the visit: programs that look into mails open links, too.

import { actionButton, banner, emptyState, problemText } from "../components.js";
import { fragment, h } from "../dom.js";
import { t } from "../i18n.js";
import { account } from "../resources.js";
import { currentUser, setUser } from "../session.js";

export const isPublic = true;
export const hasSecret = true;

export async function show({ fragment: parts }) {
  const token = parts.get("token");
  if (!token) {
    return fragment(
      h("h1", {}, t("unsubscribe.title")),
      emptyState({ symbol: "mail", title: t("unsubscribe.no_link_title"), text: t("unsubscribe.no_link_text"), link: "/account", linkText: t("nav.account") }),
    );
  }
  const section = h("section", { class: "narrow" });
  const stop = actionButton({ text: t("unsubscribe.button"), kind: "primary", task: turnOff });
  async function turnOff() {
    try {
      await account.unsubscribe(token);
    } catch (problem) {
      section.append(banner("error", problemText(problem)));
      return;
    }
    if (currentUser()) setUser({ ...currentUser(), expiry_reminders: false });
    const done = h("h1", { tabindex: "-1" }, t("unsubscribe.done_title"));
    section.replaceChildren(done, h("p", { class: "lead" }, t("unsubscribe.done_text")), h("p", {}, h("a", { href: "/" }, t("nav.shop"))));
    done.focus();
  }
  section.append(h("h1", {}, t("unsubscribe.title")), h("p", { class: "lead" }, t("unsubscribe.lead")), h("div", { class: "actions" }, stop));
  return section;
}
