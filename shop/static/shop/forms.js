// Forms: labels, hints, errors beside their fields, and a button that waits for the answer.

import { banner, fieldErrorText, problemText, whileBusy } from "./components.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";

let count = 0;

/**
 * A field with its label. `name` is the API's; other attributes go to the input. `hint` stands below; `control` is an
 * element in place of an input.
 */
export function field({ name, label, hint, optional, control, ...attributes }) {
  count += 1;
  const id = `field-${count}-${name}`;
  const input = control ?? h(attributes.rows ? "textarea" : "input", { type: attributes.rows ? null : "text", ...attributes });
  input.id = id;
  input.name ||= name;
  if (!optional && !("checked" in attributes)) input.required = true;
  const described = [hint && `${id}-hint`, `${id}-error`].filter(Boolean);
  input.setAttribute("aria-describedby", described.join(" "));
  return h(
    "div",
    { class: "field", "data-field": name },
    h("label", { for: id }, label, optional && h("span", { class: "optional" }, t("optional"))),
    input,
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint),
    h("p", { class: "error", id: `${id}-error`, hidden: true }),
  );
}

/** A password with a button that shows it. */
export function passwordField({ name = "password", label = t("fields.password"), autocomplete = "current-password", ...rest }) {
  const element = field({ name, label, type: "password", autocomplete, ...rest });
  const input = element.querySelector("input");
  const show = h("button", { type: "button", class: "reveal", "aria-pressed": "false" }, t("fields.show"));
  show.setAttribute("aria-label", t("fields.show_password", { label }));
  show.addEventListener("click", () => {
    const visible = input.type === "password";
    input.type = visible ? "text" : "password";
    show.setAttribute("aria-pressed", String(visible));
    show.textContent = visible ? t("fields.hide") : t("fields.show");
  });
  const box = h("div", { class: "with-button" });
  input.replaceWith(box);
  box.append(input, show);
  return element;
}

/** A switch: a checkbox before its label. */
export function switchField({ name, label, hint, checked }) {
  const element = field({ name, label, hint, type: "checkbox", checked, optional: false });
  element.classList.add("switch");
  element.querySelector("label").before(element.querySelector("input"));
  return element;
}

/**
 * A form that sends its values to `submit(values, form)` and shows what that throws: beside the fields that a problem
 * names, else above the button. `values` has the texts of all named fields, untrimmed, and true or false of checkboxes.
 */
export function form({ fields, button, kind = "primary", submit, beside, check = () => ({}) }) {
  const message = h("div", { class: "form-message" });
  const send = h("button", { class: `button ${kind}`, type: "submit" }, button);
  const element = h("form", { novalidate: true }, fields, message, h("div", { class: "actions" }, send, beside));
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (send.disabled) return;
    clear(element, message);
    const values = valuesOf(element);
    const wrong = { ...missing(element), ...check(values) };
    if (Object.keys(wrong).length) {
      showFieldErrors(element, wrong);
      return;
    }
    try {
      await whileBusy(send, () => submit(values, element));
    } catch (problem) {
      if (problem.name === "AbortError") return;
      showProblem(element, message, problem);
    }
  });
  // What is being corrected is not called wrong any more.
  element.addEventListener("input", (event) => clearField(event.target.closest("[data-field]")));
  return element;
}

function valuesOf(element) {
  const values = {};
  for (const input of element.elements) {
    if (!input.name || input.type === "file") continue;
    if (input.type === "checkbox") values[input.name] = input.checked;
    else if (input.type !== "radio" || input.checked) values[input.name] = input.value;
  }
  return values;
}

/** The required fields that are empty, as {name: text}. */
function missing(element) {
  const empty = [...element.elements].filter((input) => input.required && input.name && !input.value.trim());
  return Object.fromEntries(empty.map((input) => [input.name, t("field_errors.any.required")]));
}

function showProblem(element, message, problem) {
  const named = Object.entries(problem.errors ?? {}).filter(([name]) => element.querySelector(`[data-field="${CSS.escape(name)}"]`));
  if (named.length) {
    showFieldErrors(element, Object.fromEntries(named.map(([name, [first]]) => [name, fieldErrorText(name, first)])));
    return;
  }
  message.replaceChildren(banner("error", problemText(problem)));
}

/** Show texts beside the fields of these names, and lead to the first. */
export function showFieldErrors(element, texts) {
  for (const [name, text] of Object.entries(texts)) {
    const box = element.querySelector(`[data-field="${CSS.escape(name)}"]`);
    const line = box.querySelector(".error");
    line.textContent = text;
    line.hidden = false;
    box.classList.add("wrong");
    box.querySelector("input, textarea, select").setAttribute("aria-invalid", "true");
  }
  element.querySelector(".wrong :is(input, textarea, select)")?.focus();
}

function clearField(box) {
  if (!box?.classList.contains("wrong")) return;
  box.classList.remove("wrong");
  box.querySelector(".error").hidden = true;
  box.querySelector("[aria-invalid]")?.removeAttribute("aria-invalid");
}

function clear(element, message) {
  message.replaceChildren();
  element.querySelectorAll(".wrong").forEach(clearField);
}
