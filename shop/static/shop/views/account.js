// Profile and picture, reminders, password, sessions, one's data, and leaving.

import { actionButton, banner, heading, notify, openDialog, problemText, saveFile } from "../components.js";
import { fragment, h, icon } from "../dom.js";
import { field, form, passwordField, switchField } from "../forms.js";
import { day } from "../format.js";
import { t } from "../i18n.js";
import { account } from "../resources.js";
import { go } from "../router.js";
import { currentUser, setUser } from "../session.js";

const PICTURES = "image/jpeg,image/png,image/webp";
const LARGEST_PICTURE = 5 * 1024 * 1024;

export async function show({ signal }) {
  const [user, change] = await Promise.all([account.profile({ signal }), account.emailChange({ signal })]);
  return fragment(
    heading(user.full_name, t("account.since", { email: user.email, day: day(user.date_joined) }), actionButton({ text: t("account.sign_out"), task: () => signOut(false) })),
    h(
      "div",
      { class: "columns" },
      section("account.profile", picture(user), profileForm(user)),
      h("div", { class: "stack" }, section("account.email", emailPart(user, change)), section("account.reminders", remindersForm(user)), section("account.password", passwordForm(user)), section("account.sessions", sessions()), section("account.data", data())),
    ),
  );
}

function section(title, ...content) {
  return h("section", { class: "panel" }, h("h2", {}, t(title)), content);
}

async function signOut(everywhere) {
  await account.signOut(everywhere);
  setUser(null);
  notify(t("signed_out"));
  await go("/");
}

// --- Profile ---

function profileForm(user) {
  return form({
    fields: [
      h(
        "div",
        { class: "two" },
        field({ name: "first_name", label: t("fields.first_name"), value: user.first_name, autocomplete: "given-name", maxlength: 150 }),
        field({ name: "last_name", label: t("fields.last_name"), value: user.last_name, autocomplete: "family-name", maxlength: 150, optional: true }),
      ),
      field({ name: "phone_number", label: t("fields.phone_number"), value: user.phone_number, type: "tel", autocomplete: "tel", maxlength: 32, optional: true }),
      field({ name: "address", label: t("fields.address"), control: addressInput(user), optional: true }),
      field({ name: "date_of_birth", label: t("fields.date_of_birth"), value: user.date_of_birth, type: "date", autocomplete: "bday", min: "1900-01-01", optional: true }),
    ],
    button: t("account.save"),
    submit: async (values) => {
      setUser(await account.update({ ...values, date_of_birth: values.date_of_birth || null }));
      document.querySelector("h1").textContent = currentUser().full_name;
      notify(t("account.saved"));
    },
  });
}

function addressInput(user) {
  return h("textarea", { rows: 3, autocomplete: "street-address", maxlength: 500 }, user.address);
}

function picture(user) {
  const frame = h("div", { class: "picture" });
  const message = h("div", { class: "form-message" });
  const input = h("input", { type: "file", accept: PICTURES, id: "picture", class: "visually-hidden" });
  const remove = actionButton({ text: t("account.picture_remove"), kind: "small", task: () => store(null) });
  const draw = () => {
    const address = currentUser().profile_picture;
    frame.replaceChildren(address ? h("img", { src: address, alt: t("account.picture_alt"), width: 72, height: 72 }) : icon("person"));
    remove.hidden = !address;
  };
  async function store(file) {
    message.replaceChildren();
    const fields = new FormData();
    if (file) fields.append("profile_picture", file);
    try {
      setUser(await account.update(file ? fields : { profile_picture: null }));
      draw();
      notify(t("account.saved"));
    } catch (problem) {
      message.replaceChildren(banner("error", problemText(problem)));
    } finally {
      input.value = "";
    }
  }
  input.addEventListener("change", () => {
    const [file] = input.files;
    if (!file) return;
    // Said here before it is sent: a phone's picture takes a while.
    if (file.size > LARGEST_PICTURE) message.replaceChildren(banner("error", t("field_errors.profile_picture.file_too_large")));
    else store(file);
  });
  setUser(user);
  draw();
  return [h("div", { class: "picture-row" }, frame, h("div", {}, input, h("label", { class: "button small", for: "picture" }, t("account.picture_choose")), remove, h("p", { class: "hint" }, t("account.picture_hint")))), message];
}

// --- Address ---

/** The address, and the form for another one; where one waits for its link, that, with a way to stop it. */
function emailPart(user, change) {
  const part = h("div", { class: "stack" });
  const draw = ({ new_email: waiting }) =>
    part.replaceChildren(h("p", { class: "quiet" }, user.email_confirmed ? t("account.email_confirmed", { email: user.email }) : t("account.email_unconfirmed", { email: user.email })), ...(waiting ? emailWaits(waiting, draw) : [emailForm(user, draw)]));
  draw(change);
  return part;
}

function emailWaits(waiting, draw) {
  const stop = async () => {
    await account.cancelEmailChange();
    draw({ new_email: null });
    notify(t("account.email_stopped"));
  };
  return [banner("info", t("account.email_waits", { email: waiting })), h("div", { class: "actions" }, actionButton({ text: t("account.email_stop"), task: stop }))];
}

function emailForm(user, draw) {
  return form({
    fields: [
      field({ name: "new_email", label: t("fields.new_email"), type: "email", autocomplete: "email", inputmode: "email", hint: t("account.email_hint") }),
      h("input", { type: "text", autocomplete: "username", value: user.email, hidden: true, readonly: true }),
      passwordField({}),
    ],
    button: t("account.email_button"),
    kind: "",
    submit: async ({ new_email, password }) => {
      await account.changeEmail({ new_email: new_email.trim(), password });
      draw(await account.emailChange());
    },
  });
}

// --- Reminders and password ---

function remindersForm(user) {
  const element = switchField({ name: "expiry_reminders", label: t("account.reminders_label"), hint: t("account.reminders_hint"), checked: user.expiry_reminders });
  const input = element.querySelector("input");
  input.addEventListener("change", async () => {
    input.disabled = true;
    try {
      setUser(await account.update({ expiry_reminders: input.checked }));
      notify(t("account.saved"));
    } catch (problem) {
      input.checked = !input.checked;
      notify(problemText(problem));
    } finally {
      input.disabled = false;
      input.focus();
    }
  });
  return element;
}

function passwordForm(user) {
  return form({
    fields: [
      // Tells a password manager whose password it is.
      h("input", { type: "text", autocomplete: "username", value: user.email, hidden: true, readonly: true }),
      passwordField({ name: "old_password", label: t("fields.old_password") }),
      passwordField({ name: "new_password", label: t("fields.new_password"), autocomplete: "new-password", hint: t("fields.password_hint") }),
    ],
    button: t("account.password_button"),
    kind: "",
    submit: async (values, element) => {
      await account.changePassword({ ...values, confirm_password: values.new_password });
      element.reset();
      notify(t("account.password_done"));
    },
  });
}

// --- Sessions, data, leaving ---

function sessions() {
  return [h("p", { class: "quiet" }, t("account.sessions_text")), h("div", { class: "actions" }, actionButton({ text: t("account.sign_out_everywhere"), task: () => signOut(true) }))];
}

function data() {
  const exported = actionButton({ symbol: "download", text: t("account.export"), task: async () => saveFile(await account.exportData(), "voucher-app-data.json") });
  return [h("p", { class: "quiet" }, t("account.data_text")), h("div", { class: "actions" }, exported, h("button", { class: "button danger", type: "button", onclick: askToClose }, t("account.close")))];
}

function askToClose() {
  const { close } = openDialog({
    title: t("account.close"),
    content: form({
      fields: [
        h("p", {}, t("account.close_text")),
        h("input", { type: "text", autocomplete: "username", value: currentUser().email, hidden: true, readonly: true }),
        passwordField({}),
      ],
      button: t("account.close_button"),
      kind: "danger",
      submit: async ({ password }) => {
        await account.close(password);
        close();
        setUser(null);
        notify(t("account.closed"));
        await go("/");
      },
    }),
  });
}
