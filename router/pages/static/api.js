// The public API over HTTP (docs/http-api.md), and the token that opens it.

/** What the server did not do. `status` 0: it could not be reached. */
export class Refused extends Error {
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }

  /** Whether asking again the same way is of no use. */
  get isFinal() {
    return this.status >= 400 && this.status < 500 && this.status !== 408 && this.status !== 429;
  }
}

/** Random, also on pages without https, where crypto.randomUUID is not there. */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What this tab remembers until it is closed; another tab has its own. */
export function remembered(name) {
  try {
    return JSON.parse(sessionStorage.getItem(name));
  } catch {
    return null;
  }
}

export function remember(name, value) {
  if (value == null) sessionStorage.removeItem(name);
  else sessionStorage.setItem(name, JSON.stringify(value));
}

export class Api {
  constructor(token = "") {
    this.token = token;
  }

  get(path) {
    return this.#ask("GET", path);
  }

  put(path, body) {
    return this.#ask("PUT", path, body);
  }

  patch(path, body) {
    return this.#ask("PATCH", path, body);
  }

  /** With a key: should the answer get lost, sending it again does nothing twice. */
  post(path, body = {}) {
    return this.#ask("POST", path, body, { "Idempotency-Key": randomId() });
  }

  async #ask(method, path, body, more = {}) {
    const headers = { Accept: "application/json", ...more };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    let response;
    let found;
    try {
      response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
      found = await response.json();
    } catch {
      throw new Refused(response?.status ?? 0, "unreachable", "The server can't be reached.");
    }
    if (!response.ok) throw new Refused(response.status, found.code, found.detail);
    return found;
  }
}
