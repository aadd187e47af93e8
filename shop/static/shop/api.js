// The API's client: sign-in by cookie, CSRF, refreshing, retries, problem documents. It knows no address but the
// refresh's; what the API can do is in resources.js.

import { load, save } from "./storage.js";

const BASE = "/api";
const PATIENCE_MS = 30_000; // for one answer
const ATTEMPTS = 4; // of a request that may be repeated
const LONGEST_WAIT_S = 10; // that a person is kept waiting for a retry
// Access tokens live 60 minutes. The page can't read the cookie, and so notes when it was set.
const ACCESS_MS = 55 * 60_000;

/** An answer that is no success: a problem document (RFC 9457), or no answer at all (`code` "unreachable"). */
export class Problem extends Error {
  constructor(document, { status = 0, retryAfter = null } = {}) {
    super(document.detail ?? "");
    this.name = "Problem";
    this.code = document.code ?? "unknown";
    this.status = status;
    this.errors = document.errors ?? {}; // {field: [{code, detail}]}, of `validation_error`
    this.document = document; // some codes have more members, such as `reason` and `stripe_status`
    this.retryAfter = retryAfter; // seconds
  }
}

/** Called when the session turns out to have ended. */
let onSignedOut = () => {};
export const setSignedOutHandler = (handler) => (onSignedOut = handler);

/** Whether somebody was signed in when the page last heard. The cookies say it for certain. */
export const maySignedIn = () => load("signed-in-until") !== null;

/** Note that the answer to a sign-in, a refresh or a new password has just set the cookies. */
export const noteSignedIn = () => save("signed-in-until", Date.now() + ACCESS_MS);

/** Note that the cookies are gone. */
export const noteSignedOut = () => save("signed-in-until", null);

/** A name for one thing to be done, for the header Idempotency-Key. */
export const newKey = () => crypto.randomUUID();

/**
 * Call the API. Returns the JSON of the answer, a Blob if `as` is "blob", or null of an empty answer.
 *
 * `body` is sent as JSON, or as a form if it is FormData. `query` is a dictionary; empty values are left out. With a
 * `key` the request is one thing that is done once, however often it is sent; so it is sent again by itself after a lost
 * answer, as a GET is, and as one is that says it is `repeatable`. Throws Problem.
 */
export async function call(method, path, { body, query, key, repeatable, as, signal } = {}) {
  const request = { method, url: address(path, query), body, key, as, signal };
  if (maySignedIn() && load("signed-in-until") < Date.now()) await refresh();
  const attempts = method === "GET" || key || repeatable ? ATTEMPTS : 1;
  try {
    return await sendUntilAnswered(request, attempts);
  } catch (problem) {
    if (problem.code !== "token_invalid" && problem.code !== "not_authenticated") throw problem;
    if (!maySignedIn()) throw problem;
    await refresh();
    return sendUntilAnswered(request, attempts);
  }
}

function address(path, query = {}) {
  const values = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  return BASE + path + (values.length ? `?${new URLSearchParams(values)}` : "");
}

async function sendUntilAnswered(request, attempts) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await send(request);
    } catch (problem) {
      const seconds = problem.retryAfter ?? 0.4 * 2 ** attempt * (0.5 + Math.random());
      if (attempt >= attempts || !isPassing(problem) || seconds > LONGEST_WAIT_S) throw problem;
      await wait(seconds, request.signal);
    }
  }
}

/** Whether the same request may be answered in a moment: nothing arrived, a server was busy, or its twin is at work. */
function isPassing(problem) {
  return problem.code === "unreachable" || [502, 503, 504].includes(problem.status) || problem.code === "request_in_progress";
}

async function send({ method, url, body, key, as, signal }) {
  const isForm = body instanceof FormData;
  const headers = { Accept: "application/json" };
  if (body && !isForm) headers["Content-Type"] = "application/json";
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  if (key) headers["Idempotency-Key"] = key;
  let answer;
  try {
    answer = await fetch(url, {
      method,
      headers,
      body: isForm ? body : body && JSON.stringify(body),
      credentials: "same-origin",
      signal: AbortSignal.any([AbortSignal.timeout(PATIENCE_MS), ...(signal ? [signal] : [])]),
    });
  } catch (error) {
    if (signal?.aborted) throw error; // the person has gone on: nobody waits for it
    throw new Problem({ code: "unreachable" });
  }
  if (!answer.ok) throw await problemOf(answer);
  if (answer.status === 204 || answer.headers.get("Content-Length") === "0") return null;
  if (as === "blob") return answer.blob();
  const text = await answer.text();
  return text ? JSON.parse(text) : null;
}

async function problemOf(answer) {
  const seconds = Number(answer.headers.get("Retry-After"));
  const context = { status: answer.status, retryAfter: seconds > 0 ? seconds : null };
  try {
    return new Problem(await answer.json(), context);
  } catch {
    return new Problem({ code: "unknown" }, context); // a proxy's page, not ours
  }
}

/** The CSRF token that the API set: by its name in production, else the plain one. */
function csrfToken() {
  const cookies = Object.fromEntries(document.cookie.split("; ").map((pair) => pair.split(/=(.*)/s)));
  return cookies["__Host-csrftoken"] ?? cookies.csrftoken ?? "";
}

let refreshing = null;

/** Get new tokens, once for all requests that wait for them. Throws Problem, and signs out if the session has ended. */
export function refresh() {
  refreshing ??= exchange().finally(() => (refreshing = null));
  return refreshing;
}

async function exchange() {
  try {
    await sendUntilAnswered({ method: "POST", url: `${BASE}/auth/token/refresh/`, body: {} }, ATTEMPTS);
    noteSignedIn();
  } catch (problem) {
    // 401: the session has ended. 400: there is no cookie any more. Else it may still be good: the network was bad.
    if ([400, 401].includes(problem.status)) {
      noteSignedOut();
      onSignedOut();
    }
    throw problem;
  }
}

function wait(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
