// The tasks that an agent holds: what is known of each, and what can be done with it.
import { customer, title } from "./agent-offers.js";
import { facts, h, keyed, options, say } from "./dom.js";
import { countdown, since, span } from "./time.js";

const STATES = { assigned: "in progress", paused: "paused", wrapping: "wrap-up" };

/** `act.move(name, task, fields, button)` does what is asked; `act.queues()`: names. Returns {draw(tasks), tick()}. */
export function tasksView(parent, act) {
  const parts = new Set();
  const draw = keyed(
    parent,
    (task) => task.id,
    (task) => {
      const part = card(task, act);
      parts.add(part);
      return part;
    },
  );
  return {
    draw(tasks) {
      draw(tasks);
      for (const part of parts) if (!part.element.isConnected) parts.delete(part);
    },
    tick() {
      for (const part of parts) part.tick();
    },
  };
}

function card(task, act) {
  const heading = `task-${task.id}`;
  const state = h("span", { class: "mark" });
  const times = h("span", {});
  const known = h("div", {});
  const button = (text, name, fields = () => ({}), kind = "") => {
    const made = h("button", { type: "button", class: kind, onclick: () => act.move(name, task, fields(), made) }, text);
    return made;
  };
  const outcome = h("input", { list: "outcomes", maxlength: 64, placeholder: "completed", "aria-label": "Outcome" });
  const finish = h("span", { class: "joined" }, outcome, button("Finish", "complete", () => outcomeOf(outcome), "primary"));
  const pause = button("Pause", "pause");
  const resume = button("Resume", "resume");
  const done = button("Done", "complete", () => ({ outcome: task.outcome || "completed" }), "primary");
  const more = handOn(task, act, button);
  const wrap = h("p", { class: "wrap" });
  const element = h(
    "article",
    { class: "card", "aria-labelledby": heading },
    h("div", { class: "head" }, h("h3", { id: heading, tabindex: "-1" }, title(task)), state),
    h("p", { class: "soft" }, ...customer(task), times),
    known,
    wrap,
    h("div", { class: "actions" }, finish, pause, resume, done),
    more,
  );

  function tick() {
    const held = task.assignment;
    say(times, held ? `waited ${span(task.waited_s)} · with you for ${span(since(held.started_at))}` : "");
    if (task.state === "wrapping" && held?.ends_at) {
      say(wrap, `Wrap-up: ${countdown(-since(held.ends_at))} left. Done ends it now.`);
    }
  }

  let shown = null;
  function update(next) {
    task = next;
    const isWrapping = task.state === "wrapping";
    say(state, STATES[task.state] ?? task.state);
    state.dataset.is = task.state;
    const hadFocus = element.contains(document.activeElement) && document.activeElement !== document.body;
    finish.hidden = more.hidden = isWrapping;
    done.hidden = wrap.hidden = !isWrapping;
    pause.hidden = task.state !== "assigned";
    resume.hidden = task.state !== "paused";
    if (shown !== task.version) known.replaceChildren(facts(Object.entries(task.context)));
    shown = task.version;
    // The button that was pressed may be gone now: whoever uses the keyboard goes on from the card.
    if (hadFocus && document.activeElement?.checkVisibility?.() === false) element.querySelector("h3").focus();
    tick();
  }
  return { element, update, tick };
}

function outcomeOf(input) {
  const outcome = input.value.trim();
  return outcome ? { outcome } : {};
}

/** To another queue, to a colleague, or back into the line. */
function handOn(task, act, button) {
  const queue = h("select", { "aria-label": "To queue" });
  const agent = h("input", { maxlength: 128, spellcheck: "false", autocapitalize: "none", "aria-label": "To agent id", placeholder: "agent id" });
  return h(
    "details",
    { ontoggle: async () => options(queue, (await act.queues()).filter((name) => name !== task.queue).map((name) => [name, name])) },
    h("summary", {}, "Hand on"),
    h("div", { class: "actions" },
      h("span", { class: "joined" }, queue, button("To queue", "transfer", () => ({ queue: queue.value }))),
      h("span", { class: "joined" }, agent, button("To agent", "transfer", () => ({ resource_id: agent.value.trim() }))),
      button("Back into the line", "requeue", () => ({ is_excluding: true })),
    ),
  );
}
