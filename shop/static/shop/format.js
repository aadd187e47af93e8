// How money, times and codes are written for people.

import { currentLanguage, find } from "./i18n.js";

/** An amount: the API's text ("10.00") with its currency, as the language writes it. The text stays exact. */
export function money(amount, currency) {
  return new Intl.NumberFormat(currentLanguage(), { style: "currency", currency }).format(amount);
}

/** So many times an amount, as a text like the API's. Two places, in whole hundredths: no fraction gets lost. */
export function times(amount, count) {
  const hundredths = BigInt(amount.replace(".", "")) * BigInt(count);
  const digits = String(hundredths).padStart(3, "0");
  return `${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

/** The day of an ISO 8601 time, where the person is. */
export function day(time) {
  return new Intl.DateTimeFormat(currentLanguage(), { dateStyle: "medium" }).format(new Date(time));
}

/** Day and time of an ISO 8601 time, where the person is. */
export function moment(time) {
  return new Intl.DateTimeFormat(currentLanguage(), { dateStyle: "medium", timeStyle: "short" }).format(new Date(time));
}

/** A service by name: one that we have words for, else the API's word made readable ("exam_results"). */
export function service(type) {
  const readable = type.replaceAll("_", " ");
  return find(`services.${type}`) ?? readable.charAt(0).toUpperCase() + readable.slice(1);
}

/** The code with all but its last four symbols hidden, as in lists that others may see over a shoulder. */
export const masked = (code) => `•••• ${code.slice(-4)}`;
