// Redeeming a code: typed, pasted, or from the link of a QR code: /redeem#code=…

import { newKey } from "../api.js";
import { facts, problemText, serviceIcon } from "../components.js";
import { h } from "../dom.js";
import { field, form, showFieldErrors } from "../forms.js";
import { moment } from "../format.js";
import { t } from "../i18n.js";
import { vouchers } from "../resources.js";
import { load, save, tab } from "../storage.js";

// What is wrong with the code itself is said beside it.
const ABOUT_THE_CODE = ["code_malformed", "voucher_not_found", "voucher_expired", "voucher_used_up", "voucher_inactive", "service_mismatch"];

export const hasSecret = true;

export async function show({ fragment }) {
  const code = fragment.get("code") ?? "";
  const section = h("section", { class: "narrow" });
  section.append(...redeemForm(section, code));
  return section;
}

function redeemForm(section, code) {
  return [
    h("h1", {}, t("redeem.title")),
    h("p", { class: "lead" }, code ? t("redeem.lead_link") : t("redeem.lead")),
    form({
      fields: [
        field({
          name: "code",
          label: t("redeem.code"),
          value: code,
          hint: t("redeem.hint"),
          class: "code-input",
          maxlength: 500,
          autocomplete: "off",
          autocapitalize: "characters",
          spellcheck: "false",
          autofocus: !code,
        }),
      ],
      button: t("redeem.button"),
      submit: async (values, element) => {
        const key = keyFor(values.code);
        try {
          const done = await vouchers.redeem(values.code, key);
          save("redemption", null, tab);
          showDone(section, done);
        } catch (problem) {
          // Refused for certain: pressing again is a new attempt. Of anything else the same key may have been served.
          if (problem.status >= 400 && problem.status < 500 && problem.code !== "request_in_progress") save("redemption", null, tab);
          if (!ABOUT_THE_CODE.includes(problem.code)) throw problem;
          showFieldErrors(element, { code: problemText(problem) });
        }
      },
    }),
  ];
}

/** The key of one redemption, however often it is sent: kept for the tab until its answer is there, also over a reload. */
function keyFor(code) {
  const kept = load("redemption", tab);
  const redemption = kept?.code === code ? kept : { code, key: newKey() };
  save("redemption", redemption, tab);
  return redemption.key;
}

function showDone(section, { voucher, usage }) {
  const title = h("h1", { tabindex: "-1" }, t("redeem.done_title"));
  const again = h("button", { class: "button", type: "button" }, t("redeem.another"));
  again.addEventListener("click", () => {
    section.replaceChildren(...redeemForm(section, ""));
    section.querySelector("input").focus();
  });
  section.replaceChildren(
    h(
      "div",
      { class: "panel done", role: "status" },
      h("span", { class: "offer-icon big" }, serviceIcon(usage.service_type)),
      title,
      h("p", { class: "lead" }, usage.voucher_type_name),
      facts(
        [t("redeem.at"), moment(usage.used_at)],
        [t("redeem.use"), t("redeem.use_of", { number: usage.use_no, total: voucher.total_uses })],
        [t("redeem.left"), t("redeem.left_count", { count: voucher.uses_remaining })],
      ),
      h("div", { class: "actions" }, again, h("a", { href: "/redemptions" }, t("redeem.history"))),
    ),
  );
  title.focus();
}
