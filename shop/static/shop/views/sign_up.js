// Making an account.

import { h } from "../dom.js";
import { field, form, passwordField } from "../forms.js";
import { currentLanguage, t } from "../i18n.js";
import { account } from "../resources.js";
import { go, takeDestination } from "../router.js";
import { setUser } from "../session.js";
import { load, tab } from "../storage.js";

export const isPublic = true;
export const isForVisitors = true;

export async function show() {
  return h(
    "section",
    { class: "narrow" },
    h("h1", {}, t("sign_up.title")),
    h("p", { class: "lead" }, t("sign_up.lead")),
    form({
      fields: [
        h(
          "div",
          { class: "two" },
          field({ name: "first_name", label: t("fields.first_name"), autocomplete: "given-name", maxlength: 150, autofocus: true }),
          field({ name: "last_name", label: t("fields.last_name"), autocomplete: "family-name", maxlength: 150, optional: true }),
        ),
        field({ name: "email", label: t("fields.email"), type: "email", autocomplete: "username", inputmode: "email", hint: t("sign_up.email_hint") }),
        passwordField({ autocomplete: "new-password", hint: t("fields.password_hint") }),
      ],
      button: t("sign_up.button"),
      submit: async (values) => {
        const { password } = values;
        const answer = await account.signUp({
          ...values,
          email: values.email.trim(),
          password,
          password_confirm: password,
          language: currentLanguage(), // of the mails
        });
        setUser(answer.user);
        // Whoever came to buy goes on buying; else there is nothing of theirs to see yet.
        const wanted = load("destination", tab) !== null;
        await go(wanted ? takeDestination() : "/", { replace: true });
      },
    }),
    h("p", { class: "aside" }, t("sign_up.known"), " ", h("a", { href: "/sign-in" }, t("nav.sign_in"))),
  );
}
