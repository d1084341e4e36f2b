// A WebSocket that comes back by itself, ever more patiently.

const FIRST_MS = 400;
const MOST_MS = 15_000;
const OPENING_MS = 10_000;
/** Another session has signed in; too many messages that are no requests: coming back would not help. */
const FINAL = new Set([4001, 1008]);

export class Stream {
  #socket = null;
  #timer = null;
  #tries = 0;
  #isWelcome = false;
  #isClosed = false;

  /**
   * `url()`: path and query, asked for anew each time. `onmessage(message)`, `onstate(state)` with
   * {is: "connecting" | "open" | "waiting" | "ended", retryAt, code, reason}.
   * `refusal()`: a browser does not say why a handshake failed; this finds out: an Error if it is for good, or null.
   */
  constructor({ url, token, refusal, onmessage, onstate }) {
    Object.assign(this, { url, token, refusal, onmessage, onstate });
    addEventListener("online", this.#hurry);
    this.#connect();
  }

  /** Whether it was sent; what comes back tells whether it was heard. */
  send(message) {
    if (!this.#isWelcome) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** The other side is silent: try another connection. */
  drop() {
    if (this.#socket !== null) this.#lose(1006, "");
  }

  close() {
    this.#isClosed = true;
    removeEventListener("online", this.#hurry);
    clearTimeout(this.#timer);
    this.#forget()?.close(1000);
  }

  #hurry = () => {
    if (this.#socket === null) this.#connect();
  };

  #connect() {
    clearTimeout(this.#timer);
    const protocols = ["takt.v1"];
    if (this.token) protocols.push(`bearer.${base64url(this.token)}`);
    const address = new URL(this.url(), location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address, protocols);
    this.#socket = socket;
    this.#isWelcome = false;
    this.#timer = setTimeout(() => this.#lose(1006, ""), OPENING_MS);
    socket.onmessage = (event) => this.#hear(JSON.parse(event.data));
    socket.onclose = (event) => this.#lose(event.code, event.reason);
    this.onstate({ is: "connecting" });
  }

  #hear(message) {
    if (message.type === "hello") {
      clearTimeout(this.#timer);
      this.#tries = 0;
      this.#isWelcome = true;
      this.onstate({ is: "open" });
    }
    this.onmessage(message);
  }

  /** It is gone, whether or not the browser has noticed. */
  async #lose(code, reason) {
    const wasWelcome = this.#isWelcome;
    this.#forget()?.close();
    clearTimeout(this.#timer);
    if (FINAL.has(code)) return this.#end(code, reason);
    const wait = Math.min(MOST_MS, FIRST_MS * 2 ** this.#tries++) * (0.6 + 0.4 * Math.random());
    this.#timer = setTimeout(this.#hurry, wait);
    this.onstate({ is: "waiting", retryAt: performance.now() + wait });
    if (wasWelcome) return undefined;
    const refused = await this.refusal();
    if (refused !== null && !this.#isClosed && this.#socket === null) this.#end(refused.status, refused.message);
    return undefined;
  }

  #end(code, reason) {
    this.close();
    this.onstate({ is: "ended", code, reason });
  }

  #forget() {
    const socket = this.#socket;
    if (socket !== null) socket.onmessage = socket.onclose = null;
    this.#socket = null;
    this.#isWelcome = false;
    return socket;
  }
}

function base64url(text) {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
