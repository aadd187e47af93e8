// Setting a new password with the link from the mail: /reset-password#uid=…&token=…

import { noteSignedOut } from "../api.js";
import { emptyState, notify } from "../components.js";
import { fragment, h } from "../dom.js";
import { form, passwordField } from "../forms.js";
import { t } from "../i18n.js";
import { account } from "../resources.js";
import { go } from "../router.js";
import { setUser } from "../session.js";

export const isPublic = true;
export const hasSecret = true;

export async function show({ fragment: parts }) {
  const link = { uid: parts.get("uid") ?? "", token: parts.get("token") ?? "" };
  if (!link.token) {
    return fragment(
      h("h1", {}, t("reset.title")),
      emptyState({ symbol: "mail", title: t("reset.no_link_title"), text: t("reset.no_link_text"), link: "/forgot-password", linkText: t("reset.again") }),
    );
  }
  return h(
    "section",
    { class: "narrow" },
    h("h1", {}, t("reset.title")),
    h("p", { class: "lead" }, t("reset.lead")),
    form({
      fields: [passwordField({ label: t("fields.new_password"), autocomplete: "new-password", hint: t("fields.password_hint"), autofocus: true })],
      button: t("reset.button"),
      beside: h("a", { href: "/forgot-password" }, t("reset.again")),
      submit: async ({ password }) => {
        await account.resetPassword({ ...link, password, password_confirm: password });
        // Every session has ended, this browser's too.
        noteSignedOut();
        setUser(null);
        notify(t("reset.done"));
        await go("/sign-in", { replace: true });
      },
    }),
  );
}
