// A table that stays small however much there is: the first rows of those that match, and how many more there are.
import { byId, h, keyed, say } from "./dom.js";

const MOST_ROWS = 60;

/** `matches(item, words)` for the filter; `columns(item)` gives {cells, update(item)}. Returns `draw(items)`. */
export function table(id, { keyOf, textOf, row, what }) {
  const drawRows = keyed(byId(id).tBodies[0], keyOf, row);
  const input = h("input", { type: "search", placeholder: "Filter", "aria-label": `Filter ${what}`, "aria-controls": id });
  byId(`${id}-tools`).append(input);
  let items = [];
  function draw(next = items) {
    items = next;
    const words = input.value.trim().toLowerCase();
    const found = words ? items.filter((item) => textOf(item).toLowerCase().includes(words)) : items;
    drawRows(found.slice(0, MOST_ROWS));
    const more = found.length - MOST_ROWS;
    say(byId(`${id}-more`), more > 0 ? `${more} more: filter to see them.` : found.length ? "" : `No ${what}.`);
  }
  input.addEventListener("input", () => draw());
  return draw;
}
