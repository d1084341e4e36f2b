'use strict';
// Read a figure off where the pointer is, or step through it with the arrow keys. Without this the page is whole.
for (const drawing of document.querySelectorAll('svg[data-readings]')) {
  const readings = JSON.parse(drawing.dataset.readings);
  const cursor = drawing.querySelector('.cursor'), told = drawing.parentNode.querySelector('.reading');
  let at = -1;
  const show = (next) => {
    at = Math.max(0, Math.min(readings.length - 1, next));
    cursor.setAttribute('x1', readings[at][0]);
    cursor.setAttribute('x2', readings[at][0]);
    told.textContent = readings[at][1];
  };
  told.textContent = 'Point at the figure, or focus it and use the arrow keys, to read it off.';
  drawing.addEventListener('pointermove', (event) => {
    const box = drawing.getBoundingClientRect();
    const x = (event.clientX - box.left) * drawing.viewBox.baseVal.width / box.width;
    let best = 0;
    readings.forEach(([place], i) => { if (Math.abs(place - x) < Math.abs(readings[best][0] - x)) best = i; });
    show(best);
  });
  drawing.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    show(at + step);
  });
}
