// The keys of every page: j and k go through its rows, [ and ] through turns, e through errors. Never in inputs.

const typing = (target) => target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
const marked = (name) => [...document.querySelectorAll(`[data-${name}]`)].filter((one) => one.getClientRects().length);

let current = null;

function go(name, by) {
  const places = marked(name);
  if (!places.length) return;
  const at = places.indexOf(current);
  const next = at < 0 ? nearest(places, by) : Math.min(Math.max(at + by, 0), places.length - 1);
  select(places[next]);
}

// The first place in the window, or the last before it.
function nearest(places, by) {
  const top = current ? current.getBoundingClientRect().top : 0;
  const after = places.findIndex((one) => one.getBoundingClientRect().top > top);
  if (by > 0) return after < 0 ? places.length - 1 : after;
  return Math.max((after < 0 ? places.length : after) - 1, 0);
}

function select(place) {
  current?.classList.remove("current");
  current = place;
  place.classList.add("current");
  place.scrollIntoView({ block: "nearest" });
  const focus = place.matches("a, button, summary") ? place : place.querySelector("a, button, summary");
  focus?.focus({ preventScroll: true });
}

const KEYS = {
  j: () => go("row", 1),
  k: () => go("row", -1),
  "]": () => go("turn", 1),
  "[": () => go("turn", -1),
  e: () => go("error", 1),
  E: () => go("error", -1),
  d: () => document.querySelector("[data-diff]")?.click(),
  "/": () => document.querySelector("main [data-find], .find input")?.focus(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
