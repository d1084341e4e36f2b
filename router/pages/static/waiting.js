// The tasks of one queue that wait, in their order.
import { brief, byId, h, keyed, say } from "./dom.js";
import { since, span } from "./time.js";

const WAITING = new Set(["queued", "offered", "scheduled"]);
const MOST = 50;

/** `open(id)` shows the task. Returns `draw(name, queue, tasks)`. */
export function waitingView(open) {
  const drawRows = keyed(byId("waiting").tBodies[0], ({ id }) => id, (task) => row(task, open));
  return (name, queue, tasks) => {
    say(byId("waiting-title"), name ? `Waiting in ${name}` : "Waiting tasks");
    const shown = tasks.filter(({ state }) => WAITING.has(state)).slice(0, MOST);
    drawRows(shown);
    const more = (queue?.waiting ?? 0) - shown.filter(({ state }) => state !== "scheduled").length;
    const none = name ? `Nobody waits in ${name}.` : "Choose a queue to see its tasks.";
    say(byId("waiting-more"), more > 0 && shown.length ? `And ${more} more behind them.` : shown.length ? "" : none);
  };
}

export async function fetchWaiting(api, name) {
  return (await api.get(`/v1/tasks?queue=${encodeURIComponent(name)}&limit=${2 * MOST}`)).tasks;
}

function row({ id }, open) {
  const [number, waits, expected] = [h("td", { class: "n" }), h("td", { class: "n" }), h("td", { class: "n" })];
  const customer = h("td", { dir: "auto" });
  const state = h("td", {});
  const element = h(
    "tr",
    {},
    number,
    h("th", { scope: "row" }, h("button", { type: "button", class: "link", title: id, onclick: () => open(id) }, brief(id))),
    customer,
    waits,
    expected,
    state,
  );
  function update(task) {
    say(number, task.position === null ? "–" : String(task.position));
    say(customer, task.customer_id || "–");
    say(waits, task.entered_at ? span(since(task.entered_at)) : "–");
    waits.classList.toggle("late", task.target_at !== null && since(task.target_at) > 0);
    say(expected, span(task.ewt_s));
    const offered = task.offered_to.length ? `offered to ${task.offered_to.join(", ")}` : task.state;
    say(state, `${offered}${task.priority ? ` · priority ${task.priority}` : ""}${task.is_upset ? " · upset" : ""}`);
  }
  return { element, update };
}
