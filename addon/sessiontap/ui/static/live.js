// What happens while the page is open: ages of calls in flight go on, bodies are read, new calls are told.

const MINUTE = 60, HOUR = 3600, DAY = 86400;
const two = (number) => String(number).padStart(2, "0");

export function duration(seconds) {
  if (seconds < 59.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)}m${two(whole % MINUTE)}s`;
  if (whole < DAY) return `${Math.floor(whole / HOUR)}h${two(Math.floor((whole % HOUR) / MINUTE))}m`;
  return `${Math.floor(whole / DAY)}d${two(Math.floor((whole % DAY) / HOUR))}h`;
}

function age() {
  for (const one of document.querySelectorAll("[data-since]")) {
    const since = Date.parse(one.dataset.since);
    if (!Number.isNaN(since)) one.textContent = duration(Math.max(Date.now() - since, 0) / 1000);
  }
}

setInterval(() => document.hidden || age(), 1000);

// Where a live page tells its news. data-session: of one session alone; data-after: how far the log had come before.
const place = document.querySelector("[data-live]");
const ended = new Set();
let calls = 0;
let began = new Map();
let position = place?.dataset.after ?? null;
let source = null;

// How far the bodies are read that the page is made of. Without a stream of news the page is loaded again.
const reading = document.querySelector("[data-reading]");
let isRead = !reading;

function show({ read, calls }) {
  const bar = reading.querySelector("progress");
  bar.value = read;
  bar.max = calls;
  reading.querySelector("[data-share]").textContent = `${Math.floor((100 * read) / calls)}%`;
  isRead = read === calls;
  if (!isRead) return;
  if (scrollY < 1) location.reload();
  else reading.querySelector("a").textContent = "Show all";
}

function tell() {
  const sessions = new Set([...ended, ...began.keys()]);
  if (!calls && !began.size) return;
  const started = [...began.values()].reduce((sum, one) => sum + one, 0);
  const number = Math.max(calls, started);
  const where = place.dataset.session || sessions.size < 2 ? "" : ` in ${sessions.size} sessions`;
  let button = place.querySelector("button");
  if (!button) {
    button = document.createElement("button");
    button.type = "button";
    button.addEventListener("click", () => location.reload());
    place.append(button);
  }
  button.textContent = `${number} new ${number === 1 ? "call" : "calls"}${where}`;
  place.hidden = false;
}

// The state of sessions that the page shows; nothing is moved.
function mark(sessions) {
  for (const row of document.querySelectorAll("tr[data-row]")) {
    const cell = row.querySelector(".status");
    if (!cell) continue;
    const running = sessions[row.dataset.row];
    if (running) {
      cell.className = "status running";
      const since = document.createElement("span");
      since.dataset.since = running.since;
      cell.replaceChildren(`${running.calls > 1 ? `${running.calls} ` : ""}running `, since);
    } else if (cell.classList.contains("running")) {
      cell.className = "status";
      cell.textContent = "ended";
    }
  }
  age();
}

function listen() {
  if (source || document.hidden) return;
  const asked = new URLSearchParams();
  if (place.dataset.session) asked.set("session", place.dataset.session);
  if (position) asked.set("after", position);
  if (!isRead) asked.set("read", "1");
  source = new EventSource(`/live?${asked}`);
  const on = (name, act) =>
    source.addEventListener(name, (event) => {
      position = event.lastEventId;
      act(JSON.parse(event.data));
    });
  on("position", () => {});
  on("ended", ({ sessions }) => {
    for (const [session, number] of Object.entries(sessions)) {
      ended.add(session);
      calls += number;
    }
    tell();
  });
  on("read", show);
  on("running", (told) => {
    const shown = new Set([...document.querySelectorAll("[data-row]")].map((row) => row.dataset.row));
    for (const [session, number] of Object.entries(told.began)) {
      if (place.dataset.session || !shown.has(session)) began.set(session, (began.get(session) || 0) + number);
    }
    mark(told.sessions);
    tell();
  });
}

// A browser opens few connections to one server: a page that nobody looks at keeps none.
function rest() {
  source?.close();
  source = null;
}

if (place && "EventSource" in window) {
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
  window.addEventListener("pagehide", rest);
  window.addEventListener("pageshow", listen);
  listen();
}
