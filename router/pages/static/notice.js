// What went wrong, or was done: told once, read out, and gone when it is dismissed or old.
import { byId, h } from "./dom.js";

const MOST = 3;
const STAYS_MS = { bad: 12_000, good: 6_000 };

/** `kind`: "bad" is read out at once, "good" when there is a pause. Both regions stand in the page from the start. */
export function notice(text, kind = "bad") {
  const region = byId(kind === "bad" ? "alerts" : "notices");
  const close = h("button", { type: "button", class: "quiet", "aria-label": "Dismiss" }, "×");
  const item = h("p", { class: `notice ${kind}`, onclick: () => item.remove() }, h("span", { dir: "auto" }, text), close);
  region.append(item);
  while (region.children.length > MOST) region.firstChild.remove();
  setTimeout(() => item.remove(), STAYS_MS[kind]);
}

/** Run what a button asks for: it is off meanwhile, and what is refused is told. Returns whether it was done. */
export async function attempt(button, work, done = "") {
  if (button.getAttribute("aria-disabled") === "true") return false;
  button.setAttribute("aria-disabled", "true"); // `disabled` would take the focus away
  try {
    await work();
    if (done) notice(done, "good");
    return true;
  } catch (error) {
    notice(error.message);
    return false;
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

/** For ears only. */
export function announce(text) {
  const line = h("p", {}, text);
  byId("spoken").replaceChildren(line);
}
