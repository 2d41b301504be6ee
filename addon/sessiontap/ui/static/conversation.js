// A long conversation stretch by stretch: the next calls are loaded as they are neared, those far away leave the page,
// the address always names the call that is read.

const MOST = 75;
const turns = document.getElementById("turns");
const pagers = { next: document.querySelector(".pager a[rel=next]")?.parentElement, prev: document.querySelector(".pager a[rel=prev]")?.parentElement };

const empty = (rel) => {
  const nav = document.createElement("nav");
  nav.className = "pager";
  nav.append(Object.assign(document.createElement("a"), { rel }));
  return nav;
};

function address(name, id) {
  const query = new URLSearchParams(location.search);
  for (const one of ["at", "after", "before"]) query.delete(one);
  query.set(name, id);
  return `?${query}`;
}

// The pager of a side leads on from the call at that side of what is loaded.
function lead(rel, exists) {
  const nav = pagers[rel] ?? (pagers[rel] = empty(rel));
  const link = nav.firstElementChild;
  nav.hidden = !exists;
  const edge = rel === "next" ? turns.lastElementChild : turns.firstElementChild;
  link.href = address(rel === "next" ? "after" : "before", edge.id);
  link.textContent = rel === "next" ? "Later calls" : "Earlier calls";
  if (!nav.isConnected) rel === "next" ? turns.after(nav) : turns.before(nav);
  watch.observe(nav);
}

const watch = new IntersectionObserver((seen) => {
  for (const one of seen) if (one.isIntersecting && !one.target.hidden) load(one.target.firstElementChild);
}, { rootMargin: "600px" });

let loading = false;

async function load(link) {
  if (loading || !link.href) return;
  loading = true;
  try {
    const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const came = [...page.querySelectorAll("#turns > article")].filter((one) => !document.getElementById(one.id));
    const forward = link.rel === "next";
    if (forward) turns.append(...came);
    else keepPlace(() => turns.prepend(...came));
    const more = page.querySelector(`.pager a[rel=${link.rel}]`) !== null;
    let cut = false;
    const drop = () => {
      while (turns.children.length > MOST) {
        (forward ? turns.firstElementChild : turns.lastElementChild).remove();
        cut = true;
      }
    };
    if (forward) keepPlace(drop);
    else drop();
    lead(link.rel, more && came.length > 0);
    if (cut) lead(forward ? "prev" : "next", true);
  } finally {
    loading = false;
  }
}

// Change the page around the call that is read, which stays where it is.
function keepPlace(change) {
  const read = reading();
  const before = read?.getBoundingClientRect().top;
  change();
  if (read?.isConnected) window.scrollBy(0, read.getBoundingClientRect().top - before);
}

function reading() {
  return [...(turns?.children ?? [])].find((one) => one.getBoundingClientRect().bottom > 60);
}

let waits = 0;
addEventListener("scroll", () => {
  clearTimeout(waits);
  waits = setTimeout(() => {
    const read = reading();
    if (read && window.scrollY > 80) history.replaceState(null, "", address("at", read.id));
  }, 200);
}, { passive: true });

// Links to a part that is not loaded lead to the stretch that begins with its call.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="#"]');
  if (!link || document.getElementById(link.hash.slice(1))) return;
  event.preventDefault();
  location.assign(address("at", link.hash.slice(1).replace(/-[hs]\d+$/, "")) + link.hash);
});

// The whole prompt of a call is fetched when it is unfolded.
document.addEventListener("toggle", async (event) => {
  const fold = event.target;
  if (!(fold instanceof HTMLElement) || !fold.open || !fold.dataset.load) return;
  const from = fold.dataset.load;
  delete fold.dataset.load;
  const answer = await fetch(from, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const parts = page.querySelector(fold.dataset.part);
  if (!parts) return;
  for (const one of parts.querySelectorAll("[id], [data-row]")) {
    one.removeAttribute("id");
    one.removeAttribute("data-row");
  }
  parts.removeAttribute("id");
  for (const link of parts.querySelectorAll('a[href^="#"]')) link.href = from + link.getAttribute("href");
  fold.append(parts);
}, true);

if (turns?.children.length) for (const rel of ["next", "prev"]) if (pagers[rel]) lead(rel, true);
