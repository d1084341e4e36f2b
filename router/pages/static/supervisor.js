// The supervisor's page: the floor as it is, live, and a hand in it.
import { agentsView } from "./agents.js";
import { Api, remember, remembered } from "./api.js";
import { confirmed } from "./confirm.js";
import { byId, h, say, throttled } from "./dom.js";
import { eventsView } from "./events.js";
import { Floor, SAMPLE_S } from "./floor.js";
import { announce, attempt, notice } from "./notice.js";
import { drawPlot } from "./plot.js";
import { queuesView } from "./queues.js";
import { Stream } from "./stream.js";
import { taskDialog } from "./task-dialog.js";
import { align, countdown } from "./time.js";
import { fetchWaiting, waitingView } from "./waiting.js";

const KEPT = "takt.supervisor";
const LEVELS_MS = 10_000;
const MOST_IDS = 200;
let api = new Api(remembered(KEPT) ?? "");
let stream = null;
let retryAt = 0;
let levels = new Map(); // service level of each queue
let chosen = ""; // the queue whose tasks are shown
let tasks = [];
const floor = new Floor();
const dialog = taskDialog({ api: () => api, queues: () => [...floor.queues.keys()] });

const drawQueues = queuesView({
  select(name) {
    chosen = name;
    tasks = [];
    draw();
    loadTasks();
    byId("waiting-title").focus();
  },
  setOpen: (name, is_open, select) =>
    attempt(select, async () => {
      floor.setQueue(await api.put(`/v1/queues/${encodeURIComponent(name)}/open`, { is_open }), performance.now());
      touch();
    }),
});
const drawWaiting = waitingView(dialog.open);
const drawEvents = eventsView(dialog.open);
const drawAgents = agentsView({
  open: dialog.open,
  async sign(id, presence, button) {
    const held = floor.resources.get(id)?.tasks.length;
    const question = `Sign ${id} out? What it holds goes back into the line: ${held}.`;
    if (presence === "offline" && held && !(await confirmed(question, "Sign out"))) return;
    const path = `/v1/resources/${encodeURIComponent(id)}/presence`;
    await attempt(button, () => api.post(path, { presence, reason: "supervisor" }));
  },
});

function draw() {
  drawQueues(floor.queues, levels, chosen);
  drawWaiting(chosen, floor.queues.get(chosen), tasks);
  drawAgents(floor.resources);
  drawEvents(floor.events);
  say(byId("plot-title"), chosen ? `How many wait in ${chosen}` : "How many wait in all queues");
  const count = ({ total, byQueue }) => (chosen ? (byQueue.get(chosen) ?? 0) : total);
  const now = { at: performance.now(), count: chosen ? (floor.queues.get(chosen)?.waiting ?? 0) : floor.waiting };
  drawPlot([...floor.samples.map((each) => ({ at: each.at, count: count(each) })), now], now.at);
  const there = [...floor.resources.values()].filter(({ presence }) => presence !== "offline");
  say(byId("totals"), `${floor.waiting} waiting · ${there.length} signed in${floor.isCut ? " · too many to show all" : ""}`);
  const ids = there.slice(0, MOST_IDS).map(({ id }) => id);
  if (byId("agent-ids").dataset.ids !== ids.join()) {
    byId("agent-ids").dataset.ids = ids.join();
    byId("agent-ids").replaceChildren(...ids.map((value) => h("option", { value })));
  }
}

const touch = throttled(draw, 300);
const touchTasks = throttled(loadTasks, 1_000);
const touchDialog = throttled(() => {
  dialog.refresh(news);
  news.clear();
}, 700);
const news = new Set();

async function loadTasks() {
  const name = chosen;
  if (!name) return;
  try {
    const found = await fetchWaiting(api, name);
    if (name !== chosen) return;
    tasks = found;
    touch();
  } catch (error) {
    if (error.isFinal) notice(error.message);
  }
}

async function loadLevels() {
  if (stream === null || document.hidden) return;
  try {
    const { queues } = await api.get("/v1/stats/queues?window=900");
    levels = new Map(queues.map(({ queue, sl2_share }) => [queue, sl2_share]));
    touch();
  } catch {
    // The stream tells when the server is gone; the next round asks again.
  }
}

// Connect.

async function start() {
  byId("sign-in").hidden = true;
  try {
    await api.get("/v1/queues");
  } catch (error) {
    if (error.isFinal) return stop(error);
  }
  byId("sign-out").hidden = !api.token;
  byId("floor").hidden = false;
  const topics = "task,offer,resource,queue,policy,engine,stats";
  stream = new Stream({
    url: () => `/v1/supervisor/stream?topics=${topics}${floor.cursor && `&cursor=${floor.cursor}`}`,
    token: api.token,
    refusal: () => api.get("/v1/queues").then(() => null, (error) => (error.isFinal ? error : null)),
    onmessage: hear,
    onstate: change,
  });
  return loadLevels();
}

function stop(error) {
  stream?.close();
  stream = null;
  byId("floor").hidden = true;
  byId("sign-out").hidden = true;
  say(byId("connection"), "Not connected");
  byId("connection").dataset.is = "none";
  byId("sign-in").hidden = error.status !== 401 && error.status !== 403;
  say(byId("banner"), error.message);
  byId("banner").hidden = error.status === 401 && !api.token;
  byId("token").focus();
}

function hear(message) {
  if (message.now) align(message.now);
  for (const each of floor.take(message, performance.now())) news.add(each);
  if (!floor.samples.length) floor.sample(performance.now());
  if (news.has(chosen)) touchTasks();
  touchDialog();
  touch();
}

function change(state) {
  if (state.is === "ended") return stop({ status: state.code, message: state.reason });
  const wasLost = byId("connection").dataset.is === "lost";
  if (state.is === "open") {
    byId("banner").hidden = true;
    byId("connection").dataset.is = "open";
    say(byId("connection"), "Live");
    if (wasLost) announce("Connected again.");
    return touchTasks();
  }
  if (state.is === "waiting") {
    retryAt = state.retryAt;
    byId("connection").dataset.is = "lost";
    say(byId("connection"), "No connection");
    say(byId("banner"), "The connection is gone. What you see is what was; it is renewed as soon as the server answers.");
    byId("banner").hidden = false;
  }
  return undefined;
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  api = new Api(byId("token").value.trim());
  byId("token").value = "";
  remember(KEPT, api.token);
  start();
});

byId("sign-out").addEventListener("click", () => {
  remember(KEPT, null);
  location.reload();
});

setInterval(() => {
  if (stream === null || document.hidden) return;
  if (byId("connection").dataset.is === "lost") {
    const left = (retryAt - performance.now()) / 1000;
    say(byId("connection"), left > 0 ? `No connection, trying again in ${countdown(left)}` : "No connection, trying …");
  }
  touch();
}, 1_000);
setInterval(() => {
  if (stream !== null) floor.sample(performance.now());
}, SAMPLE_S * 1_000);
setInterval(loadLevels, LEVELS_MS);
start();
