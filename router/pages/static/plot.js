// How many waited in the last minutes, as steps. A picture for eyes, its sense in words for others.
import { byId } from "./dom.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [480, 150, 34, 20, 8];
const WINDOWS_MIN = [3, 6, 15]; // the first that all values fit into

/** `values`: [{at, count}] by a steady clock in ms, the oldest first. */
export function drawPlot(values, nowMs) {
  const most = Math.max(4, ...values.map(({ count }) => count));
  const age_min = (nowMs - (values[0]?.at ?? nowMs)) / 60_000;
  const minutes = WINDOWS_MIN.find((most) => age_min <= most) ?? WINDOWS_MIN.at(-1);
  const x = (at) => LEFT + (WIDTH - LEFT) * (1 - (nowMs - at) / (minutes * 60_000));
  const y = (count) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - count / most);
  const last = values.at(-1)?.count ?? 0;
  const figure = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: "img",
    "aria-label": `${last} wait now; at most ${Math.max(0, ...values.map(({ count }) => count))} since this page was opened`,
  });
  for (const count of [0, Math.round(most / 2), most]) {
    figure.append(svg("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: y(count), y2: y(count) }));
    figure.append(svg("text", { class: "tick end", x: LEFT - 5, y: y(count) + 4 }, String(count)));
  }
  for (const third of [3, 2, 1]) {
    const ago = (minutes * third) / 3;
    figure.append(svg("text", { class: "tick", x: x(nowMs - ago * 60_000), y: HEIGHT - 5 }, `−${ago} min`));
  }
  figure.append(svg("text", { class: "tick end", x: WIDTH, y: HEIGHT - 5 }, "now"));
  if (values.length) {
    let path = `M${x(values[0].at).toFixed(1)} ${y(values[0].count).toFixed(1)}`;
    for (const { at, count } of values) path += `H${x(at).toFixed(1)}V${y(count).toFixed(1)}`;
    path += `H${WIDTH}`;
    const area = `${path}V${y(0)}H${x(values[0].at).toFixed(1)}Z`;
    figure.append(svg("path", { class: "area", d: area }), svg("path", { class: "line", d: path }));
  }
  byId("plot").replaceChildren(figure);
}

function svg(tag, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}
