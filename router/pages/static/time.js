// Time by the server's clock, and durations in words. This machine's clock may be wrong, so it is not asked.

let offset = Date.now() - performance.now();

/** The server has just said what time it is. */
export function align(now) {
  offset = Date.parse(now) - performance.now();
}

/** Milliseconds since 1970. */
export function now() {
  return performance.now() + offset;
}

/** Seconds from a time until now; below 0: it is yet to come. */
export function since(at) {
  return (now() - Date.parse(at)) / 1000;
}

/** A duration as people say it. */
export function span(seconds) {
  if (seconds == null) return "–";
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 100) return `${whole} s`;
  if (whole < 6000) return `${Math.round(whole / 60)} min`;
  return `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`;
}

/** What is left, as a clock shows it. */
export function countdown(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export function clock(at) {
  return new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}
