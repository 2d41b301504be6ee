// A part that takes longer than the page: it comes as the reader nears it. Its link leads to a page of it alone.

async function bring(part) {
  part.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(part.dataset.later, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.querySelector(`section[aria-labelledby="${part.getAttribute("aria-labelledby")}"]`);
    if (found) part.replaceWith(document.adoptNode(found));
  } catch {
    // the link stays
  } finally {
    part.removeAttribute("aria-busy");
  }
}

const nearing = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) {
    if (!isIntersecting) continue;
    nearing.unobserve(target);
    bring(target);
  }
}, { rootMargin: "200px" });
for (const part of document.querySelectorAll("[data-later]")) nearing.observe(part);
