// Moments are written in UTC. They are shown here as their reader prefers: local, in UTC, or relative.
"use strict";

const PREFERENCE = "times";
const CHOICES = { local: "Local time", utc: "UTC", relative: "How long ago" };
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
// The Swedish order of a date is that of ISO 8601.
const DATE_AND_TIME = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat("sv-SE", { timeStyle: "medium" });
const ZONE_NAME = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" });
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "always" });

function readPreference() {
  try {
    const chosen = localStorage.getItem(PREFERENCE);
    return chosen in CHOICES ? chosen : "local";
  } catch {
    return "local"; // the browser keeps nothing
  }
}

let preference = readPreference();

function formatRelative(at) {
  const seconds = (at - Date.now()) / 1000;
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS.at(-1);
  return RELATIVE.format(Math.trunc(seconds / size), unit);
}

function formatLocal(at, style) {
  const zone = ZONE_NAME.formatToParts(at).find((part) => part.type === "timeZoneName").value;
  if (style === "full") return `${DATE_AND_TIME.format(at)} ${zone}`;
  return `${CLOCK.format(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

function show(time) {
  time.dataset.utc ??= time.textContent;
  const at = new Date(time.dateTime);
  let text = time.dataset.utc;
  if (preference === "local") text = formatLocal(at, time.dataset.style);
  if (preference === "relative" && time.dataset.style === "full") text = formatRelative(at);
  if (time.textContent !== text) time.textContent = text;
}

function showAll(root = document) {
  for (const time of root.querySelectorAll("time.moment")) show(time);
}

function addChoice() {
  const foot = document.querySelector("#footer p");
  if (!foot) return;
  const label = document.createElement("label");
  label.textContent = "Times: ";
  const select = document.createElement("select");
  for (const [value, words] of Object.entries(CHOICES)) {
    select.add(new Option(value === "local" ? `${words} (${ZONE})` : words, value, false, value === preference));
  }
  select.addEventListener("change", () => {
    preference = select.value;
    try {
      localStorage.setItem(PREFERENCE, preference);
    } catch {
      // It then holds for this page alone.
    }
    showAll();
  });
  label.append(select);
  foot.querySelector(".zone-note")?.replaceWith(label);
}

addChoice();
showAll();
setInterval(() => preference === "relative" && showAll(), 10000);
// What is swapped into the page comes with its times in UTC.
new MutationObserver((changes) => {
  for (const change of changes) {
    for (const node of change.addedNodes) {
      if (node.nodeType !== Node.ELEMENT_NODE) continue;
      if (node.matches("time.moment")) show(node);
      else showAll(node);
    }
  }
}).observe(document.body, { childList: true, subtree: true });
