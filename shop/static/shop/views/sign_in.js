// Signing in, by cookies.

import { h } from "../dom.js";
import { field, form, passwordField } from "../forms.js";
import { t } from "../i18n.js";
import { account } from "../resources.js";
import { go, takeDestination } from "../router.js";
import { setUser } from "../session.js";

export const isPublic = true;
export const isForVisitors = true;

export async function show() {
  return h(
    "section",
    { class: "narrow" },
    h("h1", {}, t("sign_in.title")),
    form({
      fields: [
        field({ name: "email", label: t("fields.email"), type: "email", autocomplete: "username", inputmode: "email", autofocus: true }),
        passwordField({}),
      ],
      button: t("sign_in.button"),
      beside: h("a", { href: "/forgot-password" }, t("sign_in.forgot")),
      submit: async ({ email, password }) => {
        const answer = await account.signIn({ email: email.trim(), password });
        setUser(answer.user);
        await go(takeDestination(), { replace: true });
      },
    }),
    h("p", { class: "aside" }, t("sign_in.new"), " ", h("a", { href: "/sign-up" }, t("sign_in.sign_up"))),
  );
}
