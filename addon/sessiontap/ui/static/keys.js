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
  const focus = place.matches("a, button, summary") ? place : place.querySelector("a, button:not([data-star]), summary");
  focus?.focus({ preventScroll: true });
}

const KEYS = {
  j: () => go("row", 1),
  k: () => go("row", -1),
  "]": () => go("turn", 1),
  "[": () => go("turn", -1),
  e: () => go("error", 1),
  E: () => go("error", -1),
  s: () => (current?.querySelector("[data-star]") ?? document.querySelector("[data-star].own"))?.click(),
  d: () => (current?.querySelector("[data-diff]") ?? document.querySelector("[data-diff]"))?.click(),
  "/": () => document.querySelector(FIND)?.focus(),
};

const FIND = "main [data-find], .find input";
// The help names a key if the page has what it leads to.
const HELP = [
  ["j, k", "next row, row before", "[data-row]"],
  ["Enter", "open it", "[data-row] a"],
  ["], [", "next turn, turn before", "[data-turn]"],
  ["e, E", "next error, error before", "[data-error]"],
  ["s", "star the row, or the page's session or call", "[data-star]"],
  ["d", "differences", "[data-diff]"],
  ["/", "find", FIND],
  ["?", "this help", "body"],
];

function help() {
  let dialog = document.getElementById("keys-help");
  if (!dialog) {
    dialog = document.createElement("dialog");
    dialog.id = "keys-help";
    dialog.setAttribute("aria-labelledby", "keys-title");
    const title = document.createElement("h2");
    title.id = "keys-title";
    title.textContent = "Keys";
    const list = document.createElement("dl");
    for (const [keys, text] of HELP.filter(([, , place]) => document.querySelector(place))) {
      const term = document.createElement("dt");
      const code = document.createElement("kbd");
      code.textContent = keys;
      term.append(code);
      const told = document.createElement("dd");
      told.textContent = text;
      list.append(term, told);
    }
    const close = document.createElement("button");
    close.textContent = "Close";
    close.addEventListener("click", () => dialog.close());
    dialog.append(title, list, close);
    document.body.append(dialog);
  }
  if (dialog.open) dialog.close();
  else dialog.showModal();
}

KEYS["?"] = help;
document.querySelector("[data-keys]")?.addEventListener("click", help);

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
