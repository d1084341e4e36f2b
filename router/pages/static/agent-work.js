// What an agent is asked and holds, folded from what the stream says. No page, no clock: only what is.

export class AgentWork {
  resource = null;
  offers = new Map(); // id -> {offer, task, endsAt}
  tasks = new Map(); // id -> task, in the order in which they came
  lease = { lease_s: 0, grace_s: 0 };

  /**
   * Take a message in; `nowMs` is any steady clock. Returns what is worth telling:
   * {ring: offer and task} | {gone: offer and task, state} | {taken: task} | {left: task, message} | {}.
   */
  take(message, nowMs) {
    switch (message.type) {
      case "hello":
        return this.#begin(message, nowMs);
      case "offer":
        return this.#offer(message, nowMs);
      case "offer_gone": {
        const gone = this.offers.get(message.offer_id);
        this.offers.delete(message.offer_id);
        return gone ? { gone, state: message.state, reason: message.reason } : {};
      }
      case "task": {
        const isNew = !this.tasks.has(message.task.id);
        this.tasks.set(message.task.id, message.task);
        return isNew ? { taken: message.task } : {};
      }
      case "task_gone": {
        const left = this.tasks.get(message.task_id);
        this.tasks.delete(message.task_id);
        return left ? { left, message } : {};
      }
      case "resource":
        this.resource = message.resource;
        return {};
      default:
        return {};
    }
  }

  get isSignedOut() {
    return this.resource === null || this.resource.presence === "offline";
  }

  /** All anew: whatever was known before may be wrong by now. */
  #begin(message, nowMs) {
    const known = new Set(this.offers.keys());
    this.resource = message.resource;
    this.lease = message;
    this.offers.clear();
    for (const each of message.offers) this.#offer(each, nowMs);
    this.tasks = new Map(message.tasks.map((task) => [task.id, task]));
    const ring = [...this.offers.values()].find(({ offer }) => !known.has(offer.id));
    return ring ? { ring } : {};
  }

  /** The server says how long it stands, so that the clocks need not agree. */
  #offer({ offer, task }, nowMs) {
    const ring = { offer, task, endsAt: nowMs + offer.expires_in_s * 1000, lasts_s: offer.expires_in_s };
    this.offers.set(offer.id, ring);
    return { ring };
  }
}
