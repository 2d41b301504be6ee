// Stars, scores and notes without loading the page anew: a form is sent, and what it changed is taken from the answer.

function tell(form, text) {
  let place = document.getElementById("scores-told");
  if (!place) {
    place = document.createElement("p");
    place.id = "scores-told";
    place.className = "note warn";
    place.setAttribute("role", "alert");
  }
  place.textContent = text;
  const box = form.closest("section");
  if (box) box.append(place);
  else document.querySelector("main h1").after(place);
}

// The parts of the page that a score may change, as the answer has them. What the reader is at stays focused.
function renew(page) {
  const focused = document.activeElement?.id;
  for (const old of document.querySelectorAll("[data-scored]")) {
    const fresh = page.getElementById(old.id);
    if (fresh && fresh.outerHTML !== old.outerHTML) old.replaceWith(document.adoptNode(fresh));
  }
  const again = focused && document.getElementById(focused);
  (again || document.getElementById("score-name"))?.focus({ preventScroll: true });
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-scores]")) return;
  event.preventDefault();
  const button = event.submitter;
  const action = button?.hasAttribute("formaction") ? button.formAction : form.action;
  try {
    const answer = await fetch(action, { method: "POST", body: new URLSearchParams(new FormData(form, button)) });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!answer.ok) return tell(form, page.querySelector("main")?.innerText.trim() || answer.statusText);
    document.getElementById("scores-told")?.remove();
    if (button?.id && !page.getElementById(button.id) && button.matches("[data-star]")) return location.reload();
    renew(page);
  } catch {
    tell(form, "The page does not answer: `sessiontap ui` has ended.");
  }
});
