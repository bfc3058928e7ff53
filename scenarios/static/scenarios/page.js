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

// A running clock between two polls.
function tick() {
  for (const clock of document.querySelectorAll("time[data-since]")) {
    const seconds = Math.max(0, Math.round((Date.now() - Date.parse(clock.dataset.since)) / 1000));
    const minutes = Math.floor(seconds / 60);
    clock.textContent = minutes ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
  }
}
tick();
setInterval(tick, 1000);
document.addEventListener("htmx:afterSettle", tick);

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
