// What a supervisor sees, folded from the stream: queues, agents, the last events, and how many waited when.
// No page: only what is. Everything is bounded, however long the page stays open.

const MOST_EVENTS = 200;
export const SAMPLE_S = 5;
const SAMPLES = (15 * 60) / SAMPLE_S;

export class Floor {
  queues = new Map(); // name -> view, with `seen`: when, by a steady clock in ms
  resources = new Map();
  events = []; // the newest first
  samples = []; // {at, total, byQueue}
  cursor = "";
  isCut = false;

  /** Returns the names of queues and the ids of tasks that the message is about. */
  take(message, nowMs) {
    if (message.cursor) this.cursor = message.cursor;
    const about = new Set();
    if (message.type === "hello" && !message.resumed) {
      this.resources = new Map(message.resources.map((each) => [each.id, each]));
      this.isCut = message.is_cut;
      this.queues.clear();
      this.#setQueues(message.queues, nowMs);
      for (const { name } of message.queues) about.add(name);
    } else if (message.type === "stats") {
      this.#setQueues(message.queues, nowMs);
    } else if (message.type === "event") {
      this.#happen(message, nowMs, about);
    }
    return about;
  }

  get waiting() {
    let sum = 0;
    for (const queue of this.queues.values()) sum += queue.waiting;
    return sum;
  }

  /** Remember how many wait now; to be called every SAMPLE_S. */
  sample(nowMs) {
    if (!this.queues.size) return;
    const byQueue = new Map();
    for (const queue of this.queues.values()) if (queue.waiting) byQueue.set(queue.name, queue.waiting);
    this.samples.push({ at: nowMs, total: this.waiting, byQueue });
    if (this.samples.length > SAMPLES) this.samples.shift();
  }

  setQueue(queue, nowMs) {
    this.queues.set(queue.name, { ...queue, seen: nowMs });
  }

  #setQueues(queues, nowMs) {
    for (const queue of queues) this.setQueue(queue, nowMs);
  }

  #happen({ event, task, resource, queue }, nowMs, about) {
    this.events.unshift(event);
    if (this.events.length > MOST_EVENTS) this.events.pop();
    if (resource) this.resources.set(resource.id, resource);
    if (queue) this.setQueue(queue, nowMs);
    about.add(event.subject);
    for (const name of [task?.queue, event.data.queue, event.data.from_queue]) if (name) about.add(name);
  }
}
