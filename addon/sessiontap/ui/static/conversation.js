// A long conversation stretch by stretch: the next calls are loaded as they are neared, those far away leave the page,
// the address always names the call that is read.

const MOST = 1000; // elements of calls on the page, beside those that are near
const NEAR = 600; // pixels from an end at which more is loaded
const turns = document.getElementById("turns");
const pagers = {
  next: document.querySelector(".pager a[rel=next]")?.parentElement,
  prev: document.querySelector(".pager a[rel=prev]")?.parentElement,
};
let loading = false;

const fetched = async (address) => {
  const answer = await fetch(address, { headers: { Accept: "text/html" } });
  return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
};

function address(name, id) {
  const query = new URLSearchParams(location.search);
  for (const one of ["at", "after", "before"]) query.delete(one);
  query.set(name, id);
  return `?${query}`;
}

// The pager of a side leads on from the call at that side of what is loaded.
function lead(rel, exists) {
  const forward = rel === "next";
  let nav = pagers[rel];
  if (!nav) {
    nav = pagers[rel] = document.createElement("nav");
    nav.className = "pager";
    nav.append(Object.assign(document.createElement("a"), { rel, textContent: forward ? "Later calls" : "Earlier calls" }));
    forward ? turns.after(nav) : turns.before(nav);
  }
  nav.hidden = !exists;
  nav.firstElementChild.href = address(forward ? "after" : "before", (forward ? turns.lastElementChild : turns.firstElementChild).id);
}

const reading = () => [...turns.children].find((one) => one.getBoundingClientRect().bottom > 60);

// Change the page around the call that is read, which stays where it is.
function keepPlace(change) {
  const read = reading();
  const before = read?.getBoundingClientRect().top;
  change();
  if (read?.isConnected) scrollBy(0, read.getBoundingClientRect().top - before);
}

// Beyond the end of the screen that a reader who goes forward has left behind, or who goes back.
function isFar(turn, forward) {
  const place = turn.getBoundingClientRect();
  return forward ? place.bottom < -NEAR : place.top > innerHeight + NEAR;
}

async function load(rel) {
  const link = pagers[rel]?.firstElementChild;
  if (loading || !link || pagers[rel].hidden) return;
  loading = true;
  const forward = rel === "next";
  try {
    const page = await fetched(link.href);
    if (!page) return;
    const came = [...page.querySelectorAll("#turns > article")].filter((one) => !document.getElementById(one.id));
    const far = [...turns.children].filter((one) => isFar(one, forward)); // before the page moves
    if (!forward) far.reverse();
    let cut = false;
    keepPlace(() => {
      forward ? turns.append(...came) : turns.prepend(...came);
      while (far.length && turns.getElementsByTagName("*").length > MOST) {
        far.shift().remove();
        cut = true;
      }
    });
    lead(rel, came.length > 0 && page.querySelector(`.pager a[rel=${rel}]`) !== null);
    if (cut) lead(forward ? "prev" : "next", true);
  } finally {
    loading = false;
  }
}

const isNear = (rel) => {
  const place = pagers[rel]?.getBoundingClientRect();
  return place && (rel === "next" ? place.top < innerHeight + NEAR : place.bottom > -NEAR);
};

let waits = 0;
let last = scrollY;
function moved(up) {
  if (!up && isNear("next")) load("next");
  if (up && isNear("prev")) load("prev");
  clearTimeout(waits);
  waits = setTimeout(() => {
    const read = reading();
    if (read && (scrollY > 80 || location.search.includes("at="))) history.replaceState(null, "", address("at", read.id));
  }, 200);
}

if (turns?.children.length) {
  addEventListener("scroll", () => {
    const up = scrollY < last;
    last = scrollY;
    moved(up);
  }, { passive: true });
  addEventListener("wheel", (event) => moved(event.deltaY < 0), { passive: true });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (link.matches(".pager a")) {
    event.preventDefault();
    load(link.rel);
  } else if (link.getAttribute("href")?.startsWith("#") && !document.getElementById(link.hash.slice(1))) {
    // A part that is not loaded: to the stretch that begins with its call.
    event.preventDefault();
    location.assign(address("at", link.hash.slice(1).replace(/-[hs]\d+$/, "")) + link.hash);
  }
});

// The whole prompt of a call is fetched when it is unfolded.
document.addEventListener("toggle", async (event) => {
  const fold = event.target;
  if (!(fold instanceof HTMLElement) || !fold.open || !fold.dataset.load) return;
  const from = fold.dataset.load;
  delete fold.dataset.load;
  const parts = (await fetched(from))?.querySelector(fold.dataset.part);
  if (!parts) return;
  for (const one of [parts, ...parts.querySelectorAll("[id], [data-row]")]) {
    one.removeAttribute("id");
    one.removeAttribute("data-row");
  }
  for (const link of parts.querySelectorAll('a[href^="#"]')) link.href = from + link.getAttribute("href");
  fold.append(parts);
}, true);
