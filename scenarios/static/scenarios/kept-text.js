// Keeps the text of a form's text areas in this browser until it is saved or its writer logs out, because a
// session may end meanwhile. It is kept for a week, by user and page, and offered to that user alone.
"use strict";

(() => {
  const BEGINNING = "kept-text ";
  const WEEK_MILLISECONDS = 7 * 24 * 3600 * 1000;
  const QUIET_MILLISECONDS = 300;
  const user = `${BEGINNING}${document.currentScript.dataset.user} `;
  const here = user + location.pathname;

  // A browser may forbid storage or have no room left. The page works without it.
  function attempt(action) {
    try {
      return action();
    } catch {
      return null;
    }
  }
  const drop = (key) => attempt(() => localStorage.removeItem(key));
  const read = (key) => attempt(() => JSON.parse(localStorage.getItem(key)));

  function keys(beginning) {
    return attempt(() => Object.keys(localStorage).filter((key) => key.startsWith(beginning))) ?? [];
  }

  // The response to a successful save names the saved page.
  function dropSaved() {
    const saved = /(?:^|; )saved_page=([^;]*)/.exec(document.cookie);
    if (!saved) return;
    drop(user + decodeURIComponent(saved[1]));
    document.cookie = "saved_page=; path=/; max-age=0; samesite=lax";
  }

  function dropOld() {
    for (const key of keys(BEGINNING)) {
      if (!(Date.now() - read(key)?.at < WEEK_MILLISECONDS)) drop(key);
    }
  }

  // This user logs out, on whichever page.
  document.getElementById("logout-form")?.addEventListener("submit", () => keys(user).forEach(drop));

  dropSaved();
  dropOld();
  const form = document.querySelector("#content-main > form[id$='_form']");
  const areas = form ? [...form.querySelectorAll("textarea[name]")] : [];
  if (!areas.length) return;
  // The text that the page was loaded with: the stored one, or one that was refused and is shown again.
  const loaded = Object.fromEntries(areas.map((area) => [area.name, area.defaultValue]));

  function keep() {
    clearTimeout(timer);
    const changed = areas.filter((area) => area.isConnected && area.value !== loaded[area.name]);
    if (!changed.length) return;
    const texts = Object.fromEntries(changed.map((area) => [area.name, area.value]));
    const before = Object.fromEntries(changed.map((area) => [area.name, loaded[area.name]]));
    attempt(() => localStorage.setItem(here, JSON.stringify({ at: Date.now(), texts, before })));
  }

  let timer = 0;
  let isOffered = false;
  // Kept text is not overwritten until it has been restored or discarded, or something else was typed.
  form.addEventListener("input", (event) => {
    if (!areas.includes(event.target)) return;
    if (areas.every((area) => area.value === loaded[area.name])) {
      if (!isOffered) drop(here);
      return;
    }
    clearTimeout(timer);
    timer = setTimeout(keep, QUIET_MILLISECONDS);
  });
  form.addEventListener("submit", keep);
  addEventListener("pagehide", keep);

  function take(kept) {
    for (const area of areas) {
      if (!(area.name in kept.texts)) continue;
      area.value = kept.texts[area.name];
      area.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }

  function button(text, className, action) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = className;
    made.textContent = text;
    made.addEventListener("click", action);
    return made;
  }

  function offer(kept) {
    isOffered = true;
    const notice = document.createElement("section");
    notice.className = "card waits";
    notice.id = "kept-text";
    notice.setAttribute("role", "status");
    const words = document.createElement("p");
    words.textContent = `Your text from ${new Date(kept.at).toLocaleString()} was not saved. This browser has kept it.`;
    const others = areas.some((area) => area.name in kept.before && kept.before[area.name] !== loaded[area.name]);
    if (others) words.textContent += " The stored version has changed since then.";
    const row = document.createElement("div");
    row.className = "row";
    const close = () => {
      isOffered = false;
      notice.remove();
    };
    row.append(
      button("Restore text", "button", () => {
        close();
        take(kept);
      }),
      button("Discard text", "button plain", () => {
        close();
        drop(here);
      }),
    );
    notice.append(words, row);
    form.before(notice);
  }

  const kept = read(here);
  if (kept && typeof kept.texts === "object") {
    const isThere = areas.every((area) => !(area.name in kept.texts) || area.value === kept.texts[area.name]);
    if (!isThere) offer(kept);
    else if (!document.querySelector(".errornote")) drop(here);
  }
})();
