// What the browser keeps for the shop. No token: these are in cookies that no script can read. A code is kept for the tab
// while somebody has to sign in before they redeem it (router.js), and until a redemption is answered (views/redeem.js).

const PREFIX = "shop.";

/** What was kept under a name, or null. A browser may refuse to keep anything; the shop works without. */
export function load(name, storage = () => localStorage) {
  try {
    return JSON.parse(storage().getItem(PREFIX + name));
  } catch {
    return null;
  }
}

/** Keep a value that JSON can hold; null forgets it. */
export function save(name, value, storage = () => localStorage) {
  try {
    if (value === null) storage().removeItem(PREFIX + name);
    else storage().setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Private windows of some browsers: then it is forgotten with the page.
  }
}

/** The storage of one tab, until it is closed. */
export const tab = () => sessionStorage;

/** Call `listener` when another tab keeps or forgets what is under the name. */
export function onChangeElsewhere(name, listener) {
  addEventListener("storage", (event) => {
    if (event.key === PREFIX + name) listener(load(name));
  });
}
