// Looks every few seconds whether the store moved on, and swaps the parts of the page that changed.
// Without it the page is complete and reloads itself.
"use strict";
(() => {
  const EVERY_MS = 3000, HIDDEN_MS = 20000;
  const trouble = document.getElementById("trouble");
  let seen = document.documentElement.dataset.version;
  const last = new Map();
  for (const part of document.querySelectorAll("[data-live]")) last.set(part.id, part.innerHTML);

  const say = (text) => {
    if (trouble.textContent !== text) trouble.textContent = text;
  };

  const swap = (fresh) => {
    for (const part of document.querySelectorAll("[data-live]")) {
      const other = fresh.getElementById(part.id);
      if (!other || last.get(part.id) === other.innerHTML || part.contains(document.activeElement)) continue;
      last.set(part.id, other.innerHTML);
      const open = [...part.querySelectorAll("details")].map((fold) => fold.open);
      part.replaceChildren(...other.childNodes);
      part.querySelectorAll("details").forEach((fold, place) => { fold.open = open[place] ?? false; });
    }
    document.title = fresh.title;
    seen = fresh.documentElement.dataset.version;
  };

  const look = async () => {
    try {
      const now = await (await fetch("/version" + location.search, { cache: "no-store" })).json();
      say(now.trouble);
      if (!now.trouble && now.version !== seen && !document.hidden) {
        const page = await fetch(location.href, { cache: "no-store" });
        if (page.ok) swap(new DOMParser().parseFromString(await page.text(), "text/html"));
      }
    } catch {
      say("The dashboard does not answer; the page is as it was last.");
    }
    setTimeout(look, document.hidden ? HIDDEN_MS : EVERY_MS);
  };

  if (last.size) setTimeout(look, EVERY_MS);
})();
