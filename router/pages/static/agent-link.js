// An agent's connection to its desk: requests with answers, signs of life, and the whole work again after a gap.
import { Api, Refused, randomId } from "./api.js";
import { Stream } from "./stream.js";

export class AgentLink {
  #waiting = new Map(); // ref -> {message, resolve, reject}: sent anew after a gap, with the same key
  #pulse = new Worker("/pages/pulse.js", { type: "module" });
  #isBeating = false;
  #beat = null; // the ref of the heartbeat that is not answered yet
  #stream;
  /** When the server was last heard of, as performance.now() has it: until then it heard of us. */
  heardAt = 0;

  /** `agent`: {id, token, session}. `onpush(message)`: hello and all that follows but replies. */
  constructor(agent, { onpush, onstate }) {
    this.onpush = onpush;
    this.onstate = onstate;
    const place = encodeURIComponent(agent.id);
    this.#stream = new Stream({
      url: () => `/v1/agents/${place}/stream?session=${agent.session}`,
      token: agent.token,
      refusal: async () => {
        try {
          await new Api(agent.token).get(`/v1/resources/${place}`);
          return null;
        } catch (error) {
          return error.isFinal ? error : null;
        }
      },
      onmessage: (message) => this.#hear(message),
      onstate: (state) => this.#change(state),
    });
    this.#pulse.onmessage = () => this.#tick();
  }

  /** Resolves to the answer's body; rejects with what the server says. While it is away, this waits. */
  ask(type, fields = {}) {
    return this.#ask({ type, ref: randomId(), key: randomId(), ...fields });
  }

  /** From here on the session is the one in force, and is kept so. */
  keepAlive() {
    this.#isBeating = true;
    return this.#ask({ type: "heartbeat", ref: randomId() });
  }

  close() {
    this.#stream.close();
    this.#pulse.terminate();
    this.#giveUp("The connection was closed.");
  }

  #ask(message) {
    return new Promise((resolve, reject) => {
      this.#waiting.set(message.ref, { message, resolve, reject });
      this.#stream.send(message);
    });
  }

  #hear(message) {
    this.heardAt = performance.now();
    if (message.type === "reply") return this.#settle(message);
    if (message.type === "hello") {
      this.#pulse.postMessage(message.heartbeat_s * 1000);
      for (const { message: request } of this.#waiting.values()) this.#stream.send(request);
    }
    return this.onpush(message);
  }

  #settle({ ref, status, body }) {
    if (ref === this.#beat) this.#beat = null;
    const request = this.#waiting.get(ref);
    if (request === undefined) return;
    this.#waiting.delete(ref);
    if (status < 400) request.resolve(body);
    else request.reject(new Refused(status, body.code, body.detail));
  }

  /** A beat a tick; when the last one is not even answered, nobody is there. */
  #tick() {
    if (!this.#isBeating) return;
    if (this.#beat !== null) {
      this.#stream.drop();
      return;
    }
    const ref = randomId();
    if (this.#stream.send({ type: "heartbeat", ref })) this.#beat = ref;
  }

  #change(state) {
    if (state.is !== "open") this.#beat = null;
    if (state.is === "ended") {
      this.#pulse.postMessage(0);
      this.#giveUp("The connection has ended.");
    }
    this.onstate(state);
  }

  #giveUp(why) {
    const left = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of left) reject(new Refused(0, "unreachable", why));
  }
}
