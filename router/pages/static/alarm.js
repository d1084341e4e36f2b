// What makes an offer noticed in another tab or room: title, icon, and a sound for who wants one.
import { byId } from "./dom.js";

const NOTES = [660, 880];
const TITLE = document.title;
let audio = null;

export function soundSwitch(input) {
  input.checked = localStorage.getItem("takt.sound") === "on";
  input.addEventListener("change", () => {
    localStorage.setItem("takt.sound", input.checked ? "on" : "off");
    if (input.checked) play(); // so that one knows how it sounds; and browsers allow sounds after a click only
  });
}

export function showBadge(offers) {
  document.title = offers ? `(${offers}) ${offers === 1 ? "offer" : "offers"} – ${TITLE}` : TITLE;
  const icon = offers ? "/pages/takt-ringing.svg" : "/pages/takt.svg";
  if (byId("icon").getAttribute("href") !== icon) byId("icon").setAttribute("href", icon);
}

export function ring() {
  if (byId("sound").checked) play();
}

function play() {
  audio ??= new AudioContext();
  NOTES.forEach((pitch, number) => {
    const begin = audio.currentTime + number * 0.18;
    const tone = new OscillatorNode(audio, { frequency: pitch });
    const volume = new GainNode(audio, { gain: 0 });
    volume.gain.setValueAtTime(0.12, begin);
    volume.gain.exponentialRampToValueAtTime(0.001, begin + 0.35);
    tone.connect(volume).connect(audio.destination);
    tone.start(begin);
    tone.stop(begin + 0.36);
  });
}
