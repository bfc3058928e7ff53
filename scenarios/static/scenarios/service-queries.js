// Adds the queries of a preset to the form without losing what is typed in it. The links work without this.
"use strict";

(() => {
  const data = document.getElementById("preset-queries");
  if (!data) return;
  const presets = JSON.parse(data.textContent);
  const group = document.getElementById("queries-group");
  const rows = () => [...group.querySelectorAll(".inline-related:not(.empty-form)")];
  const field = (row, name) => row.querySelector(`[name$="-${name}"]`);
  const isEmpty = (row) => !field(row, "title").value && !field(row, "query").value;

  function addRow() {
    group.querySelector(".add-row a").click();
    return rows().at(-1);
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-preset]");
    if (!link || !group?.querySelector(".add-row a")) return;
    event.preventDefault();
    const present = new Set(rows().map((row) => field(row, "query").value));
    const queries = presets[link.dataset.preset].filter((query) => !present.has(query.query));
    for (const query of queries) {
      const row = rows().find(isEmpty) ?? addRow();
      for (const [name, value] of Object.entries(query)) field(row, name).value = value;
    }
    const note = document.getElementById("preset-note");
    note.textContent = queries.length
      ? `Added ${queries.length} ${queries.length === 1 ? "query" : "queries"} of ${link.textContent}. ${link.title} Nothing is saved yet.`
      : `All queries of ${link.textContent} are already there.`;
  });

  // Rows that the admin adds are copies of a hidden one.
  document.addEventListener("formset:added", (event) => htmx.process(event.target));
})();
