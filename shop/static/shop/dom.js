// Building elements. Text always becomes a text node, so nothing that the API answers is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. `attributes`: a function under `onclick` and the like is a listener, true an attribute without a value,
 * and false, null or undefined none. `children`: nodes, texts, numbers or lists of them; null, undefined and false are
 * left out.
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...nodes(children));
  return element;
}

/** The children as `append` takes them. */
export function nodes(children) {
  return children.flat(Infinity).filter((child) => child != null && child !== false);
}

/** Several nodes as one. */
export function fragment(...children) {
  const result = document.createDocumentFragment();
  result.append(...nodes(children));
  return result;
}

// Outlines on a grid of 24, drawn for this shop.
const ICONS = {
  shop: "M4 9h16l-1 11H5L4 9Zm4 0V7a4 4 0 0 1 8 0v2",
  ticket: "M3 7h18v3.5a1.5 1.5 0 0 0 0 3V17H3v-3.5a1.5 1.5 0 0 0 0-3V7Zm11 0v2m0 2v2m0 2v2",
  check: "M5 12.5l4.5 4.5L19 7.5",
  scan: "M4 8V4h4m8 0h4v4m0 8v4h-4m-8 0H4v-4M4 12h16",
  receipt: "M6 3h12v18l-3-2-3 2-3-2-3 2V3Zm3.5 5h5m-5 4h5",
  person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm-8 9a8 8 0 0 1 16 0",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Zm0-13v4.5l3 2",
  lock: "M6 11h12v9H6v-9Zm2.5 0V8a3.5 3.5 0 0 1 7 0v3",
  print: "M7 9V4h10v5M7 17H4v-8h16v8h-3M7 14h10v6H7v-6Z",
  download: "M12 4v11m-4.5-4.5L12 15l4.5-4.5M5 20h14",
  copy: "M9 9h11v11H9V9Zm-3 6H4V4h11v2",
  mail: "M3 6h18v12H3V6Zm0 1l9 6.5L21 7",
  exam: "M6 3h9l4 4v14H6V3Zm8 0v5h5M9 13l2 2 4-4",
  school: "M12 4 2 9l10 5 10-5-10-5Zm-6 7.5V16c2 2 10 2 12 0v-4.5",
  place: "M12 21s7-6.2 7-11a7 7 0 1 0-14 0c0 4.8 7 11 7 11Zm0-8.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z",
  document: "M6 3h9l4 4v14H6V3Zm8 0v5h5M9 12h6m-6 4h6",
  warning: "M12 4 2.5 20h19L12 4Zm0 6v5m0 2v.5",
};

/** An icon, hidden from those who don't see: the words beside it say the same. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name] ?? ICONS.ticket);
  svg.append(path);
  return svg;
}
