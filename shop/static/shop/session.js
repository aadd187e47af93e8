// Who is signed in, as far as this page knows.

import { maySignedIn, noteSignedOut } from "./api.js";
import { account } from "./resources.js";
import { onChangeElsewhere, save } from "./storage.js";

let user = null;
const listeners = new Set();

/** The `user` object of whoever is signed in, or null. */
export const currentUser = () => user;

/** Call the listener when somebody signs in or out, or changes their profile. */
export const onUserChange = (listener) => listeners.add(listener);

/** Note who is signed in (null: nobody), and tell those who listen. */
export function setUser(value) {
  user = value;
  save("user", user?.id ?? null);
  for (const listener of listeners) listener(user);
}

/** Find out who is signed in. Asks the API only if somebody was: so a visitor causes no refused request. */
export async function start() {
  // All tabs share the cookies: who has signed in or out in another one is who this one would buy for.
  onChangeElsewhere("user", (id) => id !== (user?.id ?? null) && location.reload());
  if (!maySignedIn()) return;
  try {
    setUser(await account.profile());
  } catch (problem) {
    if (problem.status !== 401 && problem.status !== 400) throw problem;
    noteSignedOut();
  }
}
