// The last events, the newest first.
import { brief, byId, h, keyed } from "./dom.js";
import { clock } from "./time.js";

const MOST = 60;
const TOLD = ["queue", "from_queue", "resource_id", "reason", "was", "outcome", "step", "priority"];

/** Returns `draw(events)`. `open(task id)`. */
export function eventsView(open) {
  const draw = keyed(byId("events"), ({ id }) => id, (event) => ({ element: line(event, open), update: () => {} }));
  return (events) => {
    draw(events.slice(0, MOST));
    byId("no-events").hidden = events.length > 0;
  };
}

function line(event, open) {
  const isTask = event.type.startsWith("task.") || event.type.startsWith("offer.");
  const subject = isTask
    ? h("button", { type: "button", class: "link", title: event.subject, onclick: () => open(event.subject) }, brief(event.subject))
    : h("b", {}, event.subject);
  const told = TOLD.filter((name) => event.data[name] != null && event.data[name] !== "")
    .map((name) => `${name.replaceAll("_", " ")} ${event.data[name]}`)
    .join(" · ");
  return h("li", {}, h("time", { class: "soft" }, clock(event.at)), h("span", {}, event.type), subject, h("span", { class: "soft" }, told));
}
