// Small conveniences; every page works without them.
"use strict";

// A link with data-opens shows a dialog of this page instead of going to a page of its own.
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

// What was written and not saved is neither run nor left behind unasked. The editor writes into the textarea.
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

// What was refused is mended first: the cursor stands there.
document.querySelector('#content [aria-invalid="true"]')?.focus();

// Where a list's rows are stacked, on a narrow screen, each value tells of what it is; what has none is left out.
for (const row of document.querySelectorAll("#result_list tbody tr")) {
  const heads = row.closest("table").tHead.rows[0].cells;
  for (const cell of row.querySelectorAll("td:not(.action-checkbox)")) {
    cell.dataset.name = heads[cell.cellIndex].innerText.trim();
    cell.classList.toggle("nothing", cell.textContent.trim() === "-");
  }
}

// A run's clock goes on between two polls.
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

// A page that cannot be kept up to date says so, until it can again.
function say(isStale) {
  let notice = document.getElementById("stale");
  if (isStale && !notice) {
    notice = document.createElement("p");
    notice.id = "stale";
    notice.setAttribute("role", "alert");
    notice.textContent = "The server does not answer: what is shown here may be old.";
    document.body.append(notice);
  }
  if (!isStale) notice?.remove();
}
document.addEventListener("htmx:afterRequest", (event) => say(!event.detail.successful));
