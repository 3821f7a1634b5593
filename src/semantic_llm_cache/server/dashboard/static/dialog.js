// The one dialog of the page: questions, and entries in full.
import { byId, h } from "./dom.js";

const dialog = byId("dialog");

/** Show a dialog with a title and content; resolves when it is closed, with the value of the button. */
export function open(title, ...content) {
  dialog.replaceChildren(h("h2", { id: "dialog-title" }, title), ...content.flat());
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue), { once: true }));
}

export const close = (value = "") => dialog.close(value);

/** Ask whether to do something; resolves to true or false. */
export async function ask(title, text, yes) {
  const answer = await open(title, h("p", null, text), h("div", { class: "buttons" },
    h("button", { type: "button", onclick: () => close() }, "Cancel"),
    h("button", { type: "button", class: "strong", id: "yes", onclick: () => close("yes") }, yes)));
  return answer === "yes";
}
