// The page of a run: its timeline moves on between two polls, and a drag over it shows a part.
"use strict";

const LEFT = 270, RIGHT = 950; // the axis of time, as in pictures/timeline.py
const MIN_DRAG = 8;

// While the run goes on, its end and what is still there move to the right.
function move() {
  for (const svg of document.querySelectorAll("#whole svg[data-began]")) {
    const seconds = secondsSince(svg.dataset.began) - Number(svg.dataset.from);
    const x = LEFT + (RIGHT - LEFT) * Math.min(1, seconds / Number(svg.dataset.seconds));
    for (const line of svg.querySelectorAll(".moves")) {
      line.setAttribute("transform", `translate(${Math.max(0, x - Number(line.dataset.x)).toFixed(1)} 0)`);
    }
    for (const bar of svg.querySelectorAll(".grows")) {
      bar.setAttribute("width", Math.max(3, x - bar.x.baseVal.value).toFixed(1));
    }
  }
}
setInterval(move, 250);

// A link to a step opens it.
function openStep(id) {
  const details = document.getElementById(id)?.closest("summary")?.parentElement;
  if (details) details.open = true;
}
document.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="#step-"]');
  if (link) openStep(link.hash.slice(1));
});
openStep(location.hash.slice(1));

// Dragging chooses the seconds of the form below, and sends it.
let drag = null;
function findX(svg, event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  return Math.min(RIGHT, Math.max(LEFT, point.x));
}
function endDrag() {
  drag?.band.remove();
  drag = null;
}
document.addEventListener("pointerdown", (event) => {
  const svg = event.target.closest?.("svg[data-seconds]");
  if (!svg || event.button !== 0 || event.pointerType === "touch") return; // a finger scrolls
  const band = document.createElementNS(svg.namespaceURI, "rect");
  band.setAttribute("class", "drag");
  band.setAttribute("y", 0);
  band.setAttribute("height", svg.viewBox.baseVal.height);
  drag = { svg, band, from: findX(svg, event) };
  svg.append(band);
  event.preventDefault(); // no text is selected
});
document.addEventListener("pointermove", (event) => {
  if (!drag) return;
  if (!drag.svg.isConnected) return endDrag(); // a poll has replaced it
  const x = findX(drag.svg, event);
  drag.band.setAttribute("x", Math.min(x, drag.from));
  drag.band.setAttribute("width", Math.abs(x - drag.from));
});
document.addEventListener("pointerup", (event) => {
  if (!drag) return;
  const { svg, from } = drag;
  const to = svg.isConnected ? findX(svg, event) : from;
  endDrag();
  if (Math.abs(to - from) < MIN_DRAG) return;
  const form = document.querySelector("form.zoom");
  const [begin, end] = [from, to].sort((one, other) => one - other);
  const seconds = (x) => Number(svg.dataset.from) + (Number(svg.dataset.seconds) * (x - LEFT)) / (RIGHT - LEFT);
  form.elements.from.value = Math.max(0, seconds(begin)).toFixed(2);
  form.elements.to.value = seconds(end).toFixed(2);
  form.requestSubmit();
});
// The button of the part goes with it.
document.addEventListener("click", (event) => {
  if (!event.target.closest?.("#zoomed button")) return;
  const form = document.querySelector("form.zoom");
  form.reset();
  form.elements.from.focus({ preventScroll: true });
});
document.addEventListener("keydown", (event) => event.key === "Escape" && endDrag());
