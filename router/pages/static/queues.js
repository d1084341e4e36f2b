// The table of queues: how many wait and how long, who serves them, and whether they are open.
import { h, say } from "./dom.js";
import { table } from "./table.js";
import { span } from "./time.js";

const HAND = { null: "", true: "open", false: "closed" };

/** `select(name)` shows its tasks; `setOpen(name, is_open, select)`. Returns `draw(queues, levels, chosen)`. */
export function queuesView(act) {
  let levels = new Map();
  let chosen = "";
  const draw = table("queues", {
    what: "queues",
    keyOf: ({ name }) => name,
    textOf: ({ name, description }) => `${name} ${description}`,
    row: (queue) => row(queue, act, () => levels, () => chosen),
  });
  return (queues, nextLevels, nextChosen) => {
    levels = nextLevels;
    chosen = nextChosen;
    draw([...queues.values()]);
  };
}

function row({ name, description }, act, levels, chosen) {
  const button = h("button", { type: "button", class: "link", onclick: () => act.select(name) }, name);
  const cell = () => h("td", { class: "n" });
  const [waiting, oldest, expected, agents, level] = [cell(), cell(), cell(), cell(), cell()];
  const byHours = h("option", { value: "" });
  const open = h(
    "select",
    { "aria-label": `${name}: open`, onchange: () => act.setOpen(name, { "": null, open: true, closed: false }[open.value], open) },
    byHours,
    h("option", { value: "open" }, "open"),
    h("option", { value: "closed" }, "closed"),
  );
  const element = h(
    "tr",
    {},
    h("th", { scope: "row" }, button, h("div", { class: "soft small" }, description)),
    waiting,
    oldest,
    expected,
    agents,
    level,
    h("td", {}, open),
  );
  function update(queue) {
    const age = (performance.now() - queue.seen) / 1000;
    const oldest_s = queue.oldest_s == null ? null : queue.oldest_s + age;
    element.classList.toggle("chosen", chosen() === name);
    button.setAttribute("aria-pressed", String(chosen() === name));
    say(waiting, String(queue.waiting));
    waiting.classList.toggle("some", queue.waiting > 0);
    say(oldest, span(oldest_s));
    oldest.classList.toggle("late", oldest_s > queue.target_s);
    say(expected, span(queue.ewt_s));
    say(agents, `${queue.free} free of ${queue.agents}`);
    const share = levels().get(name);
    say(level, share == null ? "–" : `${Math.round(share * 100)} %`);
    say(byHours, queue.is_open_by_hand === null ? `by hours (${queue.is_open ? "open" : "closed"})` : "by hours");
    if (open.getAttribute("aria-disabled") !== "true") open.value = HAND[queue.is_open_by_hand];
    open.classList.toggle("shut", !queue.is_open);
  }
  return { element, update };
}
