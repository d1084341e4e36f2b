// One task: what is known of it, why it waits, what would change that, and what a supervisor can do.
import { facts, h, options } from "./dom.js";
import { attempt } from "./notice.js";
import { confirmed } from "./confirm.js";
import { since, span } from "./time.js";

const ENDED = new Set(["completed", "canceled"]);

/** `api()`, `queues()`: names. Returns {open(id), refresh(about)}. */
export function taskDialog({ api, queues }) {
  let id = null;
  const heading = h("h2", { id: "task-title", tabindex: "-1" });
  const known = h("div", {});
  const why = h("div", { id: "task-why", "aria-live": "polite" });
  const path = (move) => `/v1/tasks/${encodeURIComponent(id)}${move}`;
  const act = (button, work, done) => attempt(button, async () => (await work(), await show()), done);
  const forms = actions(act, {
    prioritise: (priority) => api().patch(path(""), { priority }),
    transfer: (queue) => api().post(path("/transfer"), { queue }),
    force: (resource_id) => api().post(path("/transfer"), { resource_id, is_forced: true }),
    cancel: (reason) => api().post(path("/cancel"), { reason }),
    name: () => id,
  });
  const close = h("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => dialog.close() }, "×");
  const dialog = h(
    "dialog",
    { id: "task", "aria-labelledby": "task-title" },
    h("div", { class: "head" }, heading, close),
    known,
    why,
    forms.element,
  );
  dialog.addEventListener("close", () => (id = null));
  document.body.append(dialog);

  async function show() {
    const asked = id;
    if (asked === null) return;
    const [task, told] = await Promise.all([api().get(path("")), api().get(path("/explain"))]);
    if (asked !== id) return; // another one was opened meanwhile
    heading.textContent = `Task ${task.id}`;
    known.replaceChildren(...summary(task));
    why.replaceChildren(...explanation(told));
    options(forms.queue, queues().filter((name) => name !== task.queue).map((name) => [name, name]));
    forms.update(task);
  }

  return {
    async open(next) {
      id = next;
      heading.textContent = `Task ${id}`;
      known.replaceChildren();
      why.replaceChildren(h("p", { class: "soft" }, "Loading …"));
      forms.element.hidden = true;
      if (!dialog.open) dialog.showModal();
      heading.focus();
      if (!(await attempt(close, show))) dialog.close();
    },
    refresh(about) {
      if (id !== null && about.has(id)) show().catch(() => {}); // the next news asks again
    },
  };
}

function summary(task) {
  const holder = task.resource_id ? `, held by ${task.resource_id}` : "";
  return [
    h("p", {}, h("span", { class: "mark" }, task.state), ` ${task.channel} in ${task.queue}${holder}`),
    facts([
      ["customer", task.customer_id || "–"],
      ["priority", String(task.priority)],
      ["class", task.service_class || "–"],
      ["age", span(task.age_s)],
      ...(task.target_at && !ENDED.has(task.state) ? [["target", due(task.target_at)]] : []),
      ...Object.entries(task.skills).map(([skill, level]) => [`skill ${skill}`, String(level)]),
      ...Object.entries(task.context),
    ]),
  ];
}

function due(at) {
  const late = since(at);
  return late > 0 ? `missed ${span(late)} ago` : `in ${span(-late)}`;
}

function explanation({ sentences, unblock }) {
  const others = unblock.filter(({ sentence }) => !sentences.includes(sentence));
  const list = (items) => h("ul", {}, ...items.map((sentence) => h("li", { dir: "auto" }, sentence)));
  const parts = [h("h3", {}, "Why"), list(sentences)];
  if (others.length) parts.push(h("h3", {}, "What else would help"), list(others.map(({ sentence }) => sentence)));
  return parts;
}

function actions(act, ask) {
  const button = (text, work, done, kind = "") => {
    const made = h("button", { type: "button", class: kind, onclick: () => work(made, done) }, text);
    return made;
  };
  const priority = h("input", { type: "number", min: -100, max: 100, step: 1, value: 0, "aria-label": "Priority" });
  const queue = h("select", { "aria-label": "Other queue" });
  const agent = h("input", { list: "agent-ids", maxlength: 128, spellcheck: "false", placeholder: "agent id", "aria-label": "Agent to force it to" });
  const set = button("Set priority", (made, done) => act(made, () => ask.prioritise(priority.valueAsNumber), done), "The priority is set.");
  const transfer = button("Transfer", (made, done) => act(made, () => ask.transfer(queue.value), done), "It was transferred.");
  const force = button("Give it to the agent", (made, done) => act(made, () => ask.force(agent.value.trim()), done), "The agent has it now.");
  const cancel = button(
    "Cancel the task",
    async (made, done) => {
      if (await confirmed(`Cancel ${ask.name()}? Nobody will serve it.`, "Cancel the task")) act(made, () => ask.cancel("caller"), done);
    },
    "It is canceled.",
    "danger",
  );
  const element = h(
    "div",
    { class: "actions" },
    h("span", { class: "joined" }, priority, set),
    h("span", { class: "joined" }, queue, transfer),
    h("span", { class: "joined" }, agent, force),
    cancel,
  );
  return {
    element,
    queue,
    update(task) {
      element.hidden = ENDED.has(task.state) || task.state === "wrapping";
      if (document.activeElement !== priority) priority.value = task.priority;
    },
  };
}
