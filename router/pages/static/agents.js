// The table of agents: how they are there, how much they hold and what, and what a supervisor can do about it.
import { brief, h, say } from "./dom.js";
import { table } from "./table.js";
import { since, span } from "./time.js";

const ORDER = ["missed", "available", "busy", "away", "draining", "offline"];
const KIND = { available: "good", missed: "bad", busy: "open", away: "open", draining: "open" };
const MOST_HELD = 3;

/** `open(task id)`, `sign(id, presence, button)`. Returns `draw(resources)`. */
export function agentsView(act) {
  const draw = table("agents", {
    what: "agents",
    keyOf: ({ id }) => id,
    textOf: ({ id, name, presence, queues }) => `${id} ${name} ${presence} ${queues.join(" ")}`,
    row: (resource) => row(resource, act),
  });
  return (resources) => draw([...resources.values()].sort(compare));
}

/** Those who are there first; within a presence by id, so that rows do not jump with their load. */
function compare(one, other) {
  return ORDER.indexOf(one.presence) - ORDER.indexOf(other.presence) || (one.id < other.id ? -1 : 1);
}

function row({ id }, act) {
  const name = h("span", { dir: "auto" });
  const presence = h("span", { class: "mark" });
  const detail = h("span", { class: "soft small" });
  const meter = h("meter", { min: 0, "aria-label": `Load of ${id}` });
  const load = h("span", {});
  const held = h("td", {});
  const queues = h("td", { class: "soft small" });
  const drain = h("button", { type: "button", "aria-label": `Drain ${id}`, onclick: () => act.sign(id, "draining", drain) }, "Drain");
  const out = h("button", { type: "button", "aria-label": `Sign ${id} out`, onclick: () => act.sign(id, "offline", out) }, "Sign out");
  const element = h(
    "tr",
    {},
    h("th", { scope: "row" }, name),
    h("td", {}, presence, " ", detail),
    h("td", { class: "load" }, meter, " ", load),
    held,
    queues,
    h("td", {}, h("span", { class: "row-actions" }, drain, out)),
  );
  let shown = null;
  function update(resource) {
    const is = resource.presence;
    const reason = resource.presence_reason ? `, ${resource.presence_reason}` : "";
    say(detail, resource.presence_at && is !== "offline" ? `${span(since(resource.presence_at))}${reason}` : "");
    if (shown === resource) return;
    shown = resource;
    const kind = resource.kind === "agent" ? "" : ` (${resource.kind})`;
    say(name, (resource.name && resource.name !== id ? `${resource.name} · ${id}` : id) + kind);
    say(presence, resource.is_suspect ? "no sign of life" : is);
    presence.className = `mark ${resource.is_suspect ? "bad" : (KIND[is] ?? "")}`;
    meter.max = resource.capacity;
    meter.value = resource.used;
    say(load, `${resource.used} of ${resource.capacity}`);
    const buttons = resource.tasks.slice(0, MOST_HELD).map((task) => taskButton(task, act));
    const more = resource.tasks.length - buttons.length;
    held.replaceChildren(...buttons, more > 0 ? `and ${more} more` : "");
    say(queues, resource.queues.join(", "));
    drain.hidden = is === "offline" || is === "draining";
    out.hidden = is === "offline";
  }
  return { element, update };
}

function taskButton(task, act) {
  return h("button", { type: "button", class: "link", title: task, onclick: () => act.open(task) }, brief(task));
}
