// The shop's words, in one file a language: locales/en.json, locales/fr.json. Both have the same keys (a test holds
// them to that). A new language is a new file, and a line in LANGUAGES.

import { load, save } from "./storage.js";

/** The languages that there are, each by its own name. */
export const LANGUAGES = { en: "English", fr: "Français" };

/** What the shop is called: the same in every language. */
export const { shopName } = document.documentElement.dataset;

let words = {};
let language = "en";
let plurals = new Intl.PluralRules("en");

/** The language that the page is in, as a BCP 47 tag. */
export const currentLanguage = () => language;

/** Read the words of the language that the person chose, or else of their browser's first one that we have. */
export async function start() {
  const wanted = [load("language"), ...navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase())];
  await use(wanted.find((tag) => tag in LANGUAGES) ?? "en");
}

/** Read the words of a language and keep the choice. */
export async function choose(tag) {
  save("language", tag);
  await use(tag);
}

async function use(tag) {
  const answer = await fetch(new URL(`./locales/${tag}.json`, import.meta.url));
  if (!answer.ok) throw new Error(`The words of ${tag} can't be read.`);
  words = await answer.json();
  language = tag;
  plurals = new Intl.PluralRules(tag);
  document.documentElement.lang = tag;
}

/**
 * The words under a key such as "buy.title", with {names} filled in. Where a key has one form for each plural, `count`
 * chooses. Returns null if there is no such key: of codes that the API may have learned since (`?? detail`).
 */
export function find(key, values = {}) {
  let text = key.split(".").reduce((part, name) => part?.[name], words);
  if (text && typeof text === "object") text = text[plurals.select(values.count)] ?? text.other;
  if (typeof text !== "string") return null;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** The same, for keys that there must be. */
export const t = (key, values) => find(key, values) ?? key;
