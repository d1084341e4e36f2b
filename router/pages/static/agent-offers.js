// Offers that ring: what it is about, how long it stands, accept or decline.
import { facts, h, keyed, say } from "./dom.js";
import { countdown, since, span } from "./time.js";

const REASONS = [
  ["", "no reason"],
  ["not_my_skill", "not my skill"],
  ["at_work", "still at work on another"],
  ["pause", "about to take a break"],
  ["technical", "technical trouble"],
];

/** `act.accept(id, button)`, `act.decline(id, reason, button)`. Returns {draw(offers), tick()}. */
export function offersView(parent, act) {
  const parts = new Map();
  const draw = keyed(
    parent,
    ({ offer }) => offer.id,
    (item) => {
      const part = card(item, act);
      parts.set(item.offer.id, part);
      return part;
    },
  );
  return {
    draw(offers) {
      draw(offers);
      const ids = new Set(offers.map(({ offer }) => offer.id));
      for (const id of parts.keys()) if (!ids.has(id)) parts.delete(id);
    },
    tick() {
      for (const part of parts.values()) part.tick();
    },
    /** Of the offer that ends first; undefined: none rings. */
    first: () => [...parts.values()].find(({ element }) => element === parent.firstElementChild),
  };
}

/** What it is, in a few words. */
export function title(task) {
  const words = `${task.channel} for ${task.queue}`;
  return `${words[0].toUpperCase()}${words.slice(1)}`;
}

function card(item, act) {
  const { offer, task } = item;
  const left = h("b", { class: "left" });
  const bar = h("progress", { max: item.lasts_s, "aria-label": "Time left to answer" });
  const waited = h("span", {});
  const reason = h("select", { "aria-label": "Reason to decline" }, ...REASONS.map(([value, text]) => h("option", { value }, text)));
  const accept = h(
    "button",
    { type: "button", class: "primary", "aria-keyshortcuts": "Alt+A", onclick: () => act.accept(offer.id, accept) },
    "Accept ",
    h("kbd", {}, "Alt A"),
  );
  const decline = h(
    "button",
    { type: "button", "aria-keyshortcuts": "Alt+D", onclick: () => act.decline(offer.id, reason.value, decline) },
    "Decline ",
    h("kbd", {}, "Alt D"),
  );
  const heading = `offer-${offer.id}`;
  const element = h(
    "article",
    { class: "card ringing", "aria-labelledby": heading },
    h("div", { class: "head" }, h("h3", { id: heading }, title(task)), left),
    bar,
    h("p", { class: "soft" }, ...customer(task), waited),
    facts(Object.entries(task.context)),
    h("div", { class: "actions" }, accept, h("span", { class: "joined" }, reason, decline)),
  );
  function tick() {
    const seconds = Math.max(0, (item.endsAt - performance.now()) / 1000);
    say(left, countdown(seconds));
    bar.value = seconds;
    bar.classList.toggle("short", seconds < 8);
    say(waited, `waits ${span(task.age_s + since(offer.issued_at))}`);
  }
  tick();
  return {
    element,
    accept,
    decline,
    update(next) {
      item = next;
    },
    tick,
  };
}

/** Who it is; nothing for a task without a customer. */
export function customer(task) {
  const marks = [];
  if (task.customer_id) marks.push(h("b", { class: "customer", dir: "auto" }, task.customer_id), " · ");
  if (task.service_class && task.service_class !== "standard") marks.push(h("span", { class: "mark" }, task.service_class), " ");
  if (task.is_upset) marks.push(h("span", { class: "mark bad" }, "upset"), " ");
  if (task.is_callback) marks.push(h("span", { class: "mark" }, "call back"), " ");
  return marks;
}
