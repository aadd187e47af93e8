// The buttons for passkeys: the server gives the options, the browser asks the person, the server checks the answer.
// In JSON, bytes are base64url. A button is shown only where the browser has passkeys.
(() => {
  "use strict";

  const toBytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (character) => character.charCodeAt(0));
  const toText = (bytes) =>
    btoa(Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join(""))
      .replace(/\+/g, "-")
      .replace(/\//g, "_")
      .replace(/=+$/, "");
  const withIds = (credentials) =>
    (credentials || []).map((credential) => ({ ...credential, id: toBytes(credential.id) }));
  // What the server reads of a credential; `response` is what one ceremony has in it and the other has not.
  const toJson = (credential, response) => ({
    id: credential.id,
    rawId: toText(credential.rawId),
    type: credential.type,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: { clientDataJSON: toText(credential.response.clientDataJSON), ...response },
  });

  async function post(address, body) {
    const response = await fetch(address, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        "X-CSRFToken": document.querySelector("[name=csrfmiddlewaretoken]").value,
      },
      body: JSON.stringify(body),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.detail);
    return answer;
  }

  async function create(options) {
    const publicKey = {
      ...options,
      challenge: toBytes(options.challenge),
      user: { ...options.user, id: toBytes(options.user.id) },
      excludeCredentials: withIds(options.excludeCredentials),
    };
    const credential = await navigator.credentials.create({ publicKey });
    const { response } = credential;
    return toJson(credential, {
      attestationObject: toText(response.attestationObject),
      transports: response.getTransports ? response.getTransports() : [],
    });
  }

  async function prove(options) {
    const publicKey = {
      ...options,
      challenge: toBytes(options.challenge),
      allowCredentials: withIds(options.allowCredentials),
    };
    const credential = await navigator.credentials.get({ publicKey });
    const { response } = credential;
    return toJson(credential, {
      authenticatorData: toText(response.authenticatorData),
      signature: toText(response.signature),
      userHandle: response.userHandle ? toText(response.userHandle) : null,
    });
  }

  function explain(error) {
    if (error.name === "NotAllowedError") return "Nothing came of it: it was canceled, or took too long.";
    if (error.name === "InvalidStateError") return "This device or key is among your passkeys already.";
    return error.message;
  }

  async function run(box) {
    const { passkey, begin, complete, after } = box.dataset;
    const options = await post(begin, {});
    const answer = await (passkey === "add" ? create(options) : prove(options));
    // Where the person was going stands in the address of the page.
    const { next } = await post(complete + window.location.search, answer);
    if (after) document.getElementById(after).submit();
    else window.location.assign(next);
  }

  function prepare(box) {
    const [button, message] = [box.querySelector("button"), box.querySelector("[role=alert]")];
    box.hidden = false;
    button.addEventListener("click", () => {
      button.disabled = true;
      message.textContent = "";
      run(box).catch((error) => {
        message.textContent = explain(error);
        button.disabled = false;
      });
    });
  }

  if (window.PublicKeyCredential) document.querySelectorAll("[data-passkey]").forEach(prepare);
})();
