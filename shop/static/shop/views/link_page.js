// What the pages of links in mails share. A press of the button does it, not the visit: programs that look into mails
// open links, too.

import { actionButton, banner, emptyState, problemText } from "../components.js";
import { fragment, h } from "../dom.js";
import { t } from "../i18n.js";
import { go } from "../router.js";

/**
 * A page with a title, a text and a button. `act(token)` does what the link is for; a problem whose code is among
 * `alsoDone` counts as done. `after` is {title, text, link, linkText}. Without a token, and beside a problem, stands the way
 * to another link: `again` is {link, linkText}.
 */
export function linkPage({ token, title, lead, button, kind = "primary", act, alsoDone = [], after, again }) {
  if (!token) {
    return fragment(
      h("h1", {}, title),
      emptyState({ symbol: "mail", title: t("links.missing_title"), text: t("links.missing_text"), ...again }),
    );
  }
  const section = h("section", { class: "narrow" });
  const message = h("div", { class: "form-message" });
  const press = actionButton({ text: button, kind, task: follow });
  async function follow() {
    try {
      await act(token);
    } catch (problem) {
      if (!alsoDone.includes(problem.code)) {
        message.replaceChildren(banner("error", problemText(problem)));
        return;
      }
    }
    const done = h("h1", { tabindex: "-1" }, after.title);
    const next = h("button", { class: "button primary", type: "button", onclick: () => go(after.link(), { replace: true }) }, after.linkText());
    section.replaceChildren(done, h("p", { class: "lead" }, after.text), h("div", { class: "actions" }, next));
    done.focus();
  }
  section.append(h("h1", {}, title), h("p", { class: "lead" }, lead), message, h("div", { class: "actions" }, press));
  return section;
}
