// A question before something is done, and a box that says what came of it.

import { h } from "./dom.js";
import { icon } from "./words.js";

/**
 * Ask a person. The browser's confirm() does not work in the frame that Airflow puts pages in.
 *
 * @param question title, text: what will happen; no, yes: the buttons; onYes: does it
 */
export function confirm(page, { title, text, no, yes, onYes }) {
  const dialog = h(
    "dialog",
    { class: "stop", "aria-labelledby": "rollouts-dialog-title", "aria-describedby": "rollouts-dialog-text" },
    h("h2", { id: "rollouts-dialog-title" }, title),
    h("div", { id: "rollouts-dialog-text" }, text),
    h(
      "form",
      { class: "buttons" },
      h("button", { type: "button", autofocus: true, onclick: () => dialog.close() }, no),
      h(
        "button",
        {
          type: "button",
          class: "danger solid",
          onclick: () => {
            dialog.close();
            onYes();
          },
        },
        yes,
      ),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  // Beside the patched part of the page, which an update must not take away.
  page.root.append(dialog);
  dialog.showModal();
}

/** @param tone "bad", "warn" or "info" */
export function notice(tone, head, ...rest) {
  const name = { bad: "warning", warn: "warning", info: "clock" }[tone];
  return h("div", { class: `notice ${tone}` }, icon(name), h("div", null, h("b", null, head), rest));
}
