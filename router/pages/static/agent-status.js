// How the agent is there, and how the connection is: in words, also of what happens while there is none.
import { byId, say } from "./dom.js";
import { clock, countdown, span } from "./time.js";

const WORDS = {
  available: "No offers now. They ring here as soon as there is one.",
  busy: "You are busy: nothing rings.",
  away: "You are away: nothing rings.",
  draining: "You finish what you have; nothing new rings.",
  offline: "You are signed out: nothing rings.",
};

/** `choose(presence, button)`. */
export function presenceView(choose) {
  const buttons = [...byId("presence").querySelectorAll("button")];
  for (const button of buttons) button.addEventListener("click", () => choose(button.dataset.presence, button));
  return {
    draw({ resource, offers, tasks }) {
      const is = resource?.presence;
      for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.presence === is));
      say(byId("presence-words"), words(resource, tasks));
      say(byId("no-offers"), is === "missed" ? "Nothing rings until then." : (WORDS[is] ?? ""));
      byId("no-offers").hidden = offers.size > 0;
    },
  };
}

function words(resource, tasks) {
  if (resource === null) return "";
  if (resource.presence === "missed") {
    const until = resource.missed_until ? ` until ${clock(resource.missed_until)}` : "";
    return `You missed ${resource.missed} offers in a row: a break${until}, or until you say that you are available.`;
  }
  const used = [...tasks.values()].reduce((sum, { assignment }) => sum + (assignment?.weight ?? 0), 0);
  return `${used} of ${resource.capacity} of your capacity in use · ${resource.queues.join(", ")}`;
}

/** `again()`: sign in anew, here. */
export function connectionView(again) {
  let is = "none";
  let retryAt = 0;
  byId("banner-act").addEventListener("click", again);

  function show(state, text, banner = "", act = "") {
    is = state;
    byId("connection").dataset.is = state;
    say(byId("connection"), text);
    say(byId("banner-words"), banner);
    say(byId("lease-words"), "");
    byId("banner").hidden = !banner;
    byId("banner-act").hidden = !act;
    say(byId("banner-act"), act);
  }

  return {
    get isOpen() {
      return is === "open";
    },
    none: () => show("none", "Not signed in"),
    elsewhere: (id) =>
      show("ended", "Elsewhere", `${id} is signed in in another window. Nothing rings here.`, "Work here instead"),
    signedOut: ({ resource }) =>
      show(
        "ended",
        "Signed out",
        `You have been signed out at ${clock(resource.presence_at)}, by a supervisor or because the connection was gone ` +
          "for too long. Who waited for you went back into the line.",
        "Sign in again",
      ),
    change(state, link, work) {
      if (state.is === "open") show("open", "Connected");
      else if (state.is === "waiting" || is === "lost" || is === "open") {
        retryAt = state.retryAt ?? 0;
        if (is !== "lost") show("lost", "No connection", "The connection is gone.");
        this.tick(link, work);
      } else if (state.is === "connecting") show("connecting", "Connecting …");
    },
    tick(link, work) {
      if (is !== "lost") return;
      const wait = (retryAt - performance.now()) / 1000;
      const again = wait > 0 ? `Trying again in ${countdown(wait)}.` : "Trying again now.";
      say(byId("lease-words"), `${again} ${fate(link, work)}`);
    },
  };
}

/** What becomes of the agent's work the longer the connection is gone. */
function fate(link, { lease, tasks }) {
  if (!link?.heardAt) return "";
  const gone = (performance.now() - link.heardAt) / 1000;
  const untilSuspect = lease.lease_s - gone;
  const untilLost = untilSuspect + lease.grace_s;
  if (untilLost <= 0) return "By now you are signed out, and who waits for you goes back into the line.";
  const held = tasks.size ? `your ${tasks.size === 1 ? "task stays" : `${tasks.size} tasks stay`} yours` : "you stay signed in";
  const suspect = untilSuspect > 0 ? `In ${span(untilSuspect)} offers go to others` : "Offers go to others";
  return `${suspect}; for ${span(untilLost)} ${held}.`;
}
