// The agent's page: sign in, say how one is there, answer what rings, work on what one holds.
import { AgentLink } from "./agent-link.js";
import { offersView, title } from "./agent-offers.js";
import { tasksView } from "./agent-tasks.js";
import { AgentWork } from "./agent-work.js";
import { ring, showBadge, soundSwitch } from "./alarm.js";
import { Api, randomId, remember, remembered } from "./api.js";
import { confirmed } from "./confirm.js";
import { connectionView, presenceView } from "./agent-status.js";
import { byId } from "./dom.js";
import { announce, attempt, notice } from "./notice.js";
import { align } from "./time.js";

const KEPT = "takt.agent";
let agent = remembered(KEPT);
let link = null;
let work = new AgentWork();
let isLeaving = false; // signing out
let isClaiming = false; // signing in: with the next hello this session becomes the one in force
let focusOn = null; // a task that was just accepted: the focus goes there as it appears
const moved = new Set(); // tasks that this page has just handed on or finished

const connection = connectionView(() => start(true));
const presence = presenceView((wanted, button) => attempt(button, () => be(wanted)));
const offers = offersView(byId("offers"), {
  accept: (id, button) =>
    attempt(button, async () => {
      focusOn = (await link.ask("accept", { offer_id: id })).task?.id ?? null;
      draw();
    }),
  decline: (id, reason, button) => attempt(button, () => link.ask("decline", { offer_id: id, reason })),
});
const tasks = tasksView(byId("tasks"), {
  move: (name, task, fields, button) =>
    attempt(button, async () => {
      if (name !== "pause" && name !== "resume") moved.add(task.id);
      try {
        await link.ask(name, { task_id: task.id, ...fields });
      } catch (error) {
        moved.delete(task.id);
        throw error;
      }
    }),
  queues: async () => {
    try {
      return (await new Api(agent.token).get("/v1/queues")).queues.map(({ name }) => name);
    } catch (error) {
      notice(error.message);
      return [];
    }
  },
});

// Connect and disconnect.

function start(isFresh) {
  link?.close();
  if (isFresh) agent = { ...agent, session: randomId() };
  isClaiming = isFresh;
  work = new AgentWork();
  link = new AgentLink(agent, { onpush, onstate });
  draw();
}

function onstate(state) {
  if (state.is === "ended" && state.code < 1000) {
    stop();
    notice(state.reason);
    byId("agent-id").focus();
    return;
  }
  connection.change(state, link, work);
  if (state.code === 4001) elsewhere();
}

function onpush(message) {
  const told = work.take(message, performance.now());
  if (message.type === "hello") welcome(message);
  else if (work.isSignedOut && !isClaiming && !isLeaving) connection.signedOut(work);
  tell(told);
  draw();
}

async function welcome(message) {
  align(message.now);
  connection.change({ is: "open" }, link, work);
  try {
    if (isClaiming) await claim();
    else if (work.isSignedOut) connection.signedOut(work);
    else await link.keepAlive();
  } catch (error) {
    if (error.status === 409 && !work.isSignedOut) elsewhere();
    else if (error.status) notice(error.message);
  }
}

/** Whoever signs in and is there already stays as they were. */
function claim() {
  const was = work.resource.presence;
  return be(["busy", "away", "draining"].includes(was) ? was : "available");
}

/** Say a presence: with it this tab's session becomes the one in force. */
async function be(wanted) {
  await link.ask("presence", { presence: wanted });
  isClaiming = false;
  remember(KEPT, agent);
  connection.change({ is: "open" }, link, work);
  await link.keepAlive();
}

function elsewhere() {
  link.close();
  work = new AgentWork();
  connection.elsewhere(agent.id);
  draw();
}

function stop() {
  link?.close();
  link = null;
  agent = null;
  remember(KEPT, null);
  work = new AgentWork();
  connection.none();
  draw();
}

// Show and tell.

function tell({ ring: rung, gone, state, taken, left, message }) {
  if (rung) {
    ring();
    const from = rung.task.customer_id ? ` from ${rung.task.customer_id}` : "";
    announce(`Offer: ${title(rung.task)}${from}. ${Math.round(rung.lasts_s)} seconds to answer. Alt A accepts.`);
  } else if (gone && state === "expired") {
    notice(`The offer ${title(gone.task)} has expired.`, "good");
  } else if (gone && state === "rescinded") {
    notice(`The offer ${title(gone.task)} was taken back, or somebody else has it.`, "good");
  } else if (taken) {
    announce(`${title(taken)} is yours.`);
  } else if (left && !moved.delete(left.id)) {
    notice(`${title(left)} is yours no more: ${message.event.replace("task.", "")}.`, "good");
  }
}

function draw() {
  const isIn = agent !== null && link !== null;
  byId("sign-in").hidden = isIn;
  byId("work").hidden = byId("sign-out").hidden = byId("sound-label").hidden = !isIn;
  byId("who").textContent = isIn ? work.resource?.name || agent.id : "agent";
  const hadFocus = byId("offers").contains(document.activeElement);
  offers.draw([...work.offers.values()].sort((one, other) => one.endsAt - other.endsAt));
  tasks.draw([...work.tasks.values()]);
  if (hadFocus && document.activeElement === document.body) byId("offers-title").focus();
  const accepted = focusOn && byId(`task-${focusOn}`);
  if (accepted) {
    accepted.focus();
    focusOn = null;
  }
  byId("no-tasks").hidden = work.tasks.size > 0;
  presence.draw(work);
  showBadge(work.offers.size);
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  agent = { id: byId("agent-id").value.trim(), token: byId("agent-token").value.trim() };
  byId("agent-token").value = "";
  start(true);
});

byId("sign-out").addEventListener("click", async (event) => {
  const held = work.tasks.size;
  const question = `You hold ${held === 1 ? "a task" : `${held} tasks`}. Whoever waits for you goes back into the line.`;
  if (held && !(await confirmed(question, "Sign out"))) return;
  isLeaving = true;
  if (connection.isOpen) await attempt(event.target, () => link.ask("presence", { presence: "offline" }));
  isLeaving = false;
  stop();
  byId("agent-id").focus();
});

addEventListener("keydown", (event) => {
  const first = event.altKey && !event.ctrlKey ? offers.first() : undefined;
  const button = { KeyA: first?.accept, KeyD: first?.decline }[event.code];
  if (button) {
    event.preventDefault();
    button.click();
  }
});

setInterval(() => {
  offers.tick();
  tasks.tick();
  connection.tick(link, work);
}, 500);

soundSwitch(byId("sound"));
draw();
if (agent) start(false);
