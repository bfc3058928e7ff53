// What is written into a form's text areas stays in this browser until it is saved, or its writer logs out: a
// session may end meanwhile. It is kept by user and page, for a week, and nobody else is offered it.
"use strict";

(() => {
  const BEGINNING = "kept-text ";
  const WEEK_MILLISECONDS = 7 * 24 * 3600 * 1000;
  const QUIET_MILLISECONDS = 300;
  const user = `${BEGINNING}${document.currentScript.dataset.user} `;
  const here = user + location.pathname;

  // A browser may forbid storage, or have no room left: the page works without it.
  function tried(action) {
    try {
      return action();
    } catch {
      return null;
    }
  }
  const drop = (key) => tried(() => localStorage.removeItem(key));
  const read = (key) => tried(() => JSON.parse(localStorage.getItem(key)));

  function keys(beginning) {
    return tried(() => Object.keys(localStorage).filter((key) => key.startsWith(beginning))) ?? [];
  }

  // The answer to a save that was carried out names its page.
  function dropWhatIsSaved() {
    const saved = /(?:^|; )saved_page=([^;]*)/.exec(document.cookie);
    if (!saved) return;
    drop(user + decodeURIComponent(saved[1]));
    document.cookie = "saved_page=; path=/; max-age=0; samesite=lax";
  }

  function dropWhatIsOld() {
    for (const key of keys(BEGINNING)) {
      if (!(Date.now() - read(key)?.at < WEEK_MILLISECONDS)) drop(key);
    }
  }

  // The logout of this user, from whichever page.
  document.getElementById("logout-form")?.addEventListener("submit", () => keys(user).forEach(drop));

  dropWhatIsSaved();
  dropWhatIsOld();
  const form = document.querySelector("#content-main > form[id$='_form']");
  const areas = form ? [...form.querySelectorAll("textarea[name]")] : [];
  if (!areas.length) return;
  // What the page came with: what is stored, or what was refused and is shown again.
  const given = Object.fromEntries(areas.map((area) => [area.name, area.defaultValue]));

  function keep() {
    clearTimeout(timer);
    const changed = areas.filter((area) => area.isConnected && area.value !== given[area.name]);
    if (!changed.length) return;
    const texts = Object.fromEntries(changed.map((area) => [area.name, area.value]));
    const before = Object.fromEntries(changed.map((area) => [area.name, given[area.name]]));
    tried(() => localStorage.setItem(here, JSON.stringify({ at: Date.now(), texts, before })));
  }

  let timer = 0;
  let isOffered = false;
  // What is offered is not written over until it has been taken or discarded, or something else was typed.
  form.addEventListener("input", (event) => {
    if (!areas.includes(event.target)) return;
    if (areas.every((area) => area.value === given[area.name])) {
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
    words.textContent = `What you wrote here until ${new Date(kept.at).toLocaleString()} was not saved: this browser has kept it.`;
    const others = areas.some((area) => area.name in kept.before && kept.before[area.name] !== given[area.name]);
    if (others) words.textContent += " What is stored has been changed since you began.";
    const row = document.createElement("div");
    row.className = "row";
    const close = () => {
      isOffered = false;
      notice.remove();
    };
    row.append(
      button("Take it up again", "button", () => {
        close();
        take(kept);
      }),
      button("Discard it", "button plain", () => {
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
