// Elements from data. What comes from outside is only ever set as text, so it is never read as markup.

/** An element with attributes (`on…`: listeners; true: present; false, null: absent) and children. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null && child !== false));
  return element;
}

export function byId(id) {
  return document.getElementById(id);
}

/** Set a text, but touch nothing when it stands there already: screen readers would say it again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Keeps children in step with a list: what stays is updated in place, so that focus and what is typed stay, too.
 * `make(item)` gives {element, update(item)}; the function that is returned takes the list.
 */
export function keyed(parent, keyOf, make) {
  const parts = new Map();
  return (items) => {
    const wanted = new Set(items.map(keyOf));
    for (const [key, part] of parts) {
      if (wanted.has(key)) continue;
      part.element.remove();
      parts.delete(key);
    }
    items.forEach((item, at) => {
      const key = keyOf(item);
      if (!parts.has(key)) parts.set(key, make(item));
      const part = parts.get(key);
      part.update(item);
      const there = parent.children[at];
      if (there !== part.element) parent.insertBefore(part.element, there ?? null);
    });
  };
}

/** Calls `draw` soon after `touch()`, at most every `ms`: a flood of news costs no more than a trickle. */
export function throttled(draw, ms) {
  let timer = null;
  let last = -Infinity;
  return function touch() {
    timer ??= setTimeout(() => {
      timer = null;
      last = performance.now();
      draw();
    }, Math.max(0, last + ms - performance.now()));
  };
}

const LONG_CHARS = 24;
const SHOWN_CHARS = 14;

/** The end of a long id: those that are made by the server begin alike. */
export function brief(id) {
  return id.length > SHOWN_CHARS ? `…${id.slice(-8)}` : id;
}

/** `[key, value]` of a context as a list of facts; nested values as JSON. */
export function facts(entries) {
  const list = h("dl", { class: "facts" });
  for (const [name, value] of entries) {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    const isLong = name.length + text.length > LONG_CHARS;
    list.append(h("div", { class: isLong ? "long" : "" }, h("dt", {}, name), h("dd", { dir: "auto" }, text)));
  }
  return list;
}

export function options(select, choices) {
  const chosen = select.value;
  select.replaceChildren(...choices.map(([value, text]) => h("option", { value }, text)));
  if (choices.some(([value]) => value === chosen)) select.value = chosen;
}
