// Asking for a link by which to set a new password.

import { emptyState } from "../components.js";
import { h } from "../dom.js";
import { field, form } from "../forms.js";
import { t } from "../i18n.js";
import { account } from "../resources.js";

export const isPublic = true;

export async function show() {
  const section = h("section", { class: "narrow" });
  section.append(
    h("h1", {}, t("forgot.title")),
    h("p", { class: "lead" }, t("forgot.lead")),
    form({
      fields: [field({ name: "email", label: t("fields.email"), type: "email", autocomplete: "username", inputmode: "email", autofocus: true })],
      button: t("forgot.button"),
      beside: h("a", { href: "/sign-in" }, t("forgot.back")),
      submit: async ({ email }) => {
        await account.requestPasswordReset(email.trim());
        // The same words whether or not there is an account: so says the API.
        const sent = h("h1", { tabindex: "-1" }, t("forgot.sent_title"));
        section.replaceChildren(
          sent,
          emptyState({ symbol: "mail", title: email.trim(), text: t("forgot.sent_text"), link: "/sign-in", linkText: t("forgot.back") }),
        );
        sent.focus();
      },
    }),
  );
  return section;
}
