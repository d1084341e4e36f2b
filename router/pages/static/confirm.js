// A question before something that can't be taken back.
import { h } from "./dom.js";

/** Resolves to whether it was confirmed. The focus goes back where it was. */
export function confirmed(question, verb) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { class: "question", "aria-labelledby": "question" },
      h("p", { id: "question", dir: "auto" }, question),
      h(
        "div",
        { class: "actions" },
        h("button", { type: "button", onclick: () => dialog.close() }, "Back"),
        h("button", { type: "button", class: "danger", onclick: () => dialog.close("yes") }, verb),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
