// Builds elements. Text only ever becomes text: nothing here takes HTML.

import { NONE } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "value") made.value = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(3).filter((one) => one !== null && one !== undefined && one !== false));
  return made;
}

/** Return an HTML element: h("p", {class: "about"}, "text", child). */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Return an SVG element. */
export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export const byId = (id) => document.getElementById(id);

const scrolling = new ResizeObserver((found) => {
  for (const { target } of found) {
    if (target.scrollHeight > target.clientHeight + 1) target.tabIndex = 0; // so that keys can scroll it
    else target.removeAttribute("tabindex");
  }
});

/** Return a paragraph for a prompt or an answer: it scrolls when it is long. */
export function passage(classes, ...pieces) {
  const made = h("p", { class: `prompt ${classes}`, dir: "auto" }, pieces);
  scrolling.observe(made);
  return made;
}

/** Return a sentence for an empty panel: what is missing, and what to do. */
export function empty(what, todo) {
  return h("div", { class: "empty" }, h("p", { class: "what" }, what), todo ? h("p", null, todo) : null);
}

/**
 * Return a table that scrolls sideways where there is no room.
 * Columns: {name, right, wide, optional, cell: (row) => text or element}; optional: left out if no row has a text there.
 */
export function table(caption, columns, rows, { hideCaption = true, classes = "" } = {}) {
  columns = columns.filter((one) => !one.optional || rows.some((row) => one.cell(row) !== NONE));
  const style = (one) => [one.right && "right", one.wide && "wide-cell"].filter(Boolean).join(" ") || null;
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      { class: classes || null },
      h("caption", { class: hideCaption ? "vh" : null }, caption),
      h("thead", null, h("tr", null, columns.map((one) => h("th", { scope: "col", class: style(one) }, one.name)))),
      h(
        "tbody",
        null,
        rows.map((row) =>
          h("tr", null, columns.map((one, i) =>
            h(i ? "td" : "th", i ? { class: style(one) } : { scope: "row", class: style(one) }, one.cell(row)))),
        ),
      ),
    ),
  );
}

/** Show a short message, which screen readers read out. */
let hiding = 0;
export function say(text, bad = false) {
  const place = byId("said");
  place.textContent = text;
  place.classList.toggle("bad", bad);
  place.classList.add("shown");
  clearTimeout(hiding);
  hiding = setTimeout(() => place.classList.remove("shown"), bad ? 10000 : 5000);
}
