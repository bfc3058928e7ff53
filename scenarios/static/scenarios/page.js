// Small conveniences; every page works without them.
"use strict";

// A link with data-opens shows a dialog of this page instead of following the link.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  const dialog = opener && document.getElementById(opener.dataset.opens);
  if (dialog) {
    event.preventDefault();
    for (const notice of dialog.querySelectorAll("[data-unsaved]")) notice.hidden = !isUnsaved();
    dialog.showModal();
  }
  const closer = event.target.closest("[data-closes]");
  if (closer) document.getElementById(closer.dataset.closes).close();
});

// Unsaved changes are neither run nor lost without a question. The editor writes into the textarea.
function isUnsaved() {
  const area = document.getElementById("id_document");
  return area !== null && area.value !== area.defaultValue;
}
let isSaving = false;
document.addEventListener("submit", (event) => {
  isSaving ||= event.target.contains(document.getElementById("id_document"));
});
addEventListener("beforeunload", (event) => {
  if (isUnsaved() && !isSaving) event.preventDefault();
});

// Focus the first field that was refused.
document.querySelector('#content [aria-invalid="true"]')?.focus();

// On a narrow screen a list's rows are stacked, so each value needs its column's name; empty ones are hidden.
for (const row of document.querySelectorAll("#result_list tbody tr")) {
  const heads = row.closest("table").tHead.rows[0].cells;
  for (const cell of row.querySelectorAll("td:not(.action-checkbox)")) {
    cell.dataset.name = heads[cell.cellIndex].innerText.trim();
    cell.classList.toggle("nothing", cell.textContent.trim() === "-");
  }
}

// Running clocks and progress between two polls, by the server's clock.
let ahead = 0; // milliseconds that this machine's clock is ahead of the server's
function readServerClock() {
  for (const part of document.querySelectorAll("[data-server-now]")) {
    ahead = Date.now() - Date.parse(part.dataset.serverNow);
    delete part.dataset.serverNow;
  }
}
function secondsSince(moment) {
  return Math.max(0, (Date.now() - ahead - Date.parse(moment)) / 1000);
}
function tick() {
  readServerClock();
  for (const clock of document.querySelectorAll("time[data-since]")) {
    const seconds = Math.round(secondsSince(clock.dataset.since));
    const minutes = Math.floor(seconds / 60);
    clock.textContent = minutes ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
  }
  for (const progress of document.querySelectorAll("progress[data-since]")) {
    progress.value = secondsSince(progress.dataset.since);
  }
}
tick();
setInterval(tick, 1000);
document.addEventListener("htmx:afterSettle", tick);

// What is open, typed or focused in a part of the page stays so when a poll replaces the part.
function describePlace(element) {
  if (element.id) return { id: element.id };
  const root = element.parentElement?.closest("[id]");
  if (!root) return null;
  const tag = element.localName;
  return { root: root.id, tag, number: [...root.querySelectorAll(tag)].indexOf(element) };
}
function findPlace(place) {
  if (place.id) return document.getElementById(place.id);
  return document.getElementById(place.root)?.querySelectorAll(place.tag)[place.number];
}
function keepState(event) {
  const target = event.detail.target;
  if (!target?.querySelectorAll) return;
  const inside = (selector) => [target, ...target.querySelectorAll(selector)].filter((one) => one.matches(selector));
  const open = inside("details[open]").map(describePlace);
  const typed = inside("input:not([type=hidden]), textarea")
    .filter((field) => field.value !== field.defaultValue)
    .map((field) => [describePlace(field), field.value]);
  const scrolled = inside(".scroll").filter((box) => box.scrollLeft).map((box) => [describePlace(box), box.scrollLeft]);
  const active = target.contains(document.activeElement) ? document.activeElement : null;
  const focused = active && describePlace(active);
  const selection = active && "selectionStart" in active ? [active.selectionStart, active.selectionEnd] : null;
  // The swap is finished when this event and those of the other parts have been handled.
  queueMicrotask(() => {
    for (const place of open) if (place && findPlace(place)) findPlace(place).open = true;
    for (const [place, value] of typed) if (place && findPlace(place)) findPlace(place).value = value;
    for (const [place, left] of scrolled) if (place && findPlace(place)) findPlace(place).scrollLeft = left;
    const again = focused && findPlace(focused);
    if (!again || again === document.activeElement) return;
    again.focus({ preventScroll: true });
    if (selection?.[0] != null) again.setSelectionRange(...selection);
  });
}
document.addEventListener("htmx:beforeSwap", keepState);
document.addEventListener("htmx:oobBeforeSwap", keepState);

// Say so while the page cannot be updated.
function showStale(isStale) {
  let notice = document.getElementById("stale");
  if (isStale && !notice) {
    notice = document.createElement("p");
    notice.id = "stale";
    notice.setAttribute("role", "alert");
    notice.textContent = "The server is not responding. This page may be out of date.";
    document.body.append(notice);
  }
  if (!isStale) notice?.remove();
}
document.addEventListener("htmx:afterRequest", (event) => showStale(!event.detail.successful));
