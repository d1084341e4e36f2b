// A worker that ticks. In a tab that nobody looks at, browsers let timers wait for a minute; here they do not.
let timer = null;
onmessage = ({ data: ms }) => {
  clearInterval(timer);
  if (ms) timer = setInterval(() => postMessage(null), ms);
};
