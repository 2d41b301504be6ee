// The timeline: drag on the strip to zoom, wheel and WASD to zoom and pan, f to focus on a row, rows as they are scrolled
// to. The server draws all of it; here places are moved, and what is left to draw is asked for. Every selection is in the
// address.

const ROW = 20; // pixels, as in the style sheet
const CHUNK = 30; // rows that are asked for together; three chunks are in the page at most
const WIDTH = 10000; // units of the whole session's width, as in drawing/runs.py
const SETTLED = 250; // milliseconds after the last zoom until rows are asked for
const area = document.getElementById("timeline");

function start() {
  const scale = readScale(area.dataset.scale);
  const whole = Number(area.dataset.whole);
  let range = { from: Number(area.dataset.from), to: Number(area.dataset.to) }; // of which there are rows
  let view = range; // that the bars show: the range, or of many rows the time of those that are seen
  let rows = { end() {} };
  let waits = 0;
  const brush = document.getElementById("brush");
  const details = document.getElementById("details");

  // ---- The view -------------------------------------------------------------------------------------------------

  // Choose a range: it is drawn at once, and its rows are asked for when it stays.
  function show(from, to) {
    const size = Math.min(Math.max(to - from, whole / 1e5, 1e-4), whole);
    const begin = Math.min(Math.max(from, 0), whole - size);
    range = view = { from: begin, to: begin + size };
    rows.end();
    draw();
    clearTimeout(waits);
    waits = setTimeout(ask, SETTLED);
  }

  function draw() {
    const x = scale.place(view.from) * WIDTH;
    const width = Math.max(scale.place(view.to) * WIDTH - x, WIDTH / 1e5);
    for (const bar of area.querySelectorAll(".run")) {
      bar.setAttribute("viewBox", `${x} 0 ${width} 10`);
    }
    const strip = brush.querySelector(".strip"), height = strip.viewBox.baseVal.height;
    const left = scale.place(range.from) * WIDTH, right = scale.place(range.to) * WIDTH;
    const box = (from, to) => `M${from} 0h${to - from}v${height}h${from - to}z`;
    strip.querySelector(".outside").setAttribute("d", box(0, left) + box(right, WIDTH));
    const seen = strip.querySelector(".seen");
    seen.setAttribute("x", x);
    seen.setAttribute("width", Math.max(width, WIDTH / 700));
    drawAxis(x, width);
  }

  function drawAxis(x, width) {
    const axis = area.querySelector(".times");
    const room = 70 / Math.max(axis.clientWidth, 70);
    const texts = [];
    for (const [place, label, name] of marks(scale, x / WIDTH, width / WIDTH, room)) {
      const text = document.createElementNS("http://www.w3.org/2000/svg", "text");
      text.setAttribute("x", `${(100 * place).toFixed(2)}%`);
      text.setAttribute("y", "12");
      text.setAttribute("class", name);
      text.textContent = label;
      texts.push(text);
    }
    axis.replaceChildren(...texts);
  }

  // The rows of the range, and its place in the address.
  async function ask() {
    const address = new URL(location.href), asked = range;
    const all = range.from <= 0 && range.to >= whole;
    for (const name of ["from", "to"]) {
      if (all) address.searchParams.delete(name);
      else address.searchParams.set(name, String(Number(range[name].toFixed(6))));
    }
    address.searchParams.delete("after");
    history.replaceState(null, "", address);
    const page = await fetchPage(address).catch(() => null);
    if (!page || asked !== range) return;
    const fresh = page.getElementById("timeline");
    area.dataset.matching = fresh.dataset.matching;
    area.dataset.after = "0";
    area.querySelector("#rows").replaceWith(fresh.querySelector("#rows"));
    replacePart(".switches", fresh);
    draw();
    rows = windowed();
  }

  function replacePart(selector, fresh) {
    const old = area.querySelector(selector), made = fresh.querySelector(selector);
    if (old && made) old.replaceWith(made);
    else if (old) old.remove();
  }

  function zoom(factor, at = (view.from + view.to) / 2) {
    // In places of the picture, not in seconds: a squeezed pause is not in the way.
    const [x, y, middle] = [view.from, view.to, at].map(scale.place);
    const left = middle - (middle - x) * factor, right = middle + (y - middle) * factor;
    show(scale.time(left), scale.time(right));
  }

  function pan(share) {
    const [x, y] = [view.from, view.to].map(scale.place);
    const by = Math.min(Math.max((y - x) * share, -x), 1 - y);
    show(scale.time(x + by), scale.time(y + by));
  }

  function focus() {
    const row = area.querySelector("tr.current") || area.querySelector("tr[data-row]:hover") || area.querySelector("tr[data-row]");
    if (!row) return;
    const at = Number(row.dataset.at), took = Number(row.dataset.took) || whole / 1000;
    show(at - took * 0.25, at + took * 1.25);
  }

  const KEYS = {
    w: () => zoom(1 / 1.6), s: () => zoom(1.6), a: () => pan(-0.3), d: () => pan(0.3), f: focus,
    0: () => show(0, whole),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches?.("input, textarea, select, [contenteditable]")) return;
    const act = KEYS[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  });

  // ---- The strip ------------------------------------------------------------------------------------------------

  const placeOf = (event, box) => Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);

  brush.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    const box = brush.getBoundingClientRect(), begun = placeOf(event, box);
    const mark = document.createElement("div");
    mark.className = "drag";
    brush.append(mark);
    brush.setPointerCapture(event.pointerId);
    const move = (moved) => {
      const place = placeOf(moved, box);
      mark.style.left = `${100 * Math.min(begun, place)}%`;
      mark.style.width = `${100 * Math.abs(place - begun)}%`;
    };
    const done = (ended) => {
      brush.removeEventListener("pointermove", move);
      brush.removeEventListener("pointerup", done);
      brush.removeEventListener("pointercancel", done);
      mark.remove();
      const [left, right] = [begun, placeOf(ended, box)].sort((one, other) => one - other);
      if (ended.type === "pointerup" && (right - left) * box.width > 3) show(scale.time(left), scale.time(right));
    };
    brush.addEventListener("pointermove", move);
    brush.addEventListener("pointerup", done);
    brush.addEventListener("pointercancel", done);
  });
  brush.addEventListener("dblclick", () => show(0, whole));
  brush.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan(event.deltaX / 1000);
    else zoom(event.deltaY < 0 ? 1 / 1.25 : 1.25, scale.time(placeOf(event, brush.getBoundingClientRect())));
  }, { passive: false });
  area.addEventListener("wheel", (event) => {
    const bar = event.ctrlKey && event.target.closest("td.chart");
    if (!bar) return;
    event.preventDefault();
    const [x, y] = [view.from, view.to].map(scale.place);
    zoom(event.deltaY < 0 ? 1 / 1.25 : 1.25, scale.time(x + (y - x) * placeOf(event, bar.getBoundingClientRect())));
  }, { passive: false });

  // ---- What is pointed at ---------------------------------------------------------------------------------------

  area.addEventListener("pointerover", (event) => {
    const row = event.target.closest("tr[data-row]");
    details.hidden = !row;
    if (!row) return;
    const cell = row.querySelector("td.chart");
    if (cell.title) {
      row.dataset.phases = cell.title; // said at once below, so not once more by the browser
      cell.removeAttribute("title");
    }
    details.textContent = `${row.querySelector("td.call").textContent.trim()}: ${row.dataset.phases}`;
  });
  area.addEventListener("pointerleave", () => { details.hidden = true; });

  // ---- Rows -----------------------------------------------------------------------------------------------------

  // Only rows near the window are in the page; those above and below are two empty ones as high as they.
  function windowed() {
    const body = area.querySelector("#rows tbody");
    const total = Number(area.dataset.matching), first = Number(area.dataset.after);
    const chunks = new Map();
    const own = [...body.querySelectorAll("tr[data-row]")];
    area.querySelector(".pages")?.remove();
    if (total <= own.length || first % CHUNK) return { end() {} };
    for (let at = 0; at + CHUNK <= own.length; at += CHUNK) {
      chunks.set((first + at) / CHUNK, own.slice(at, at + CHUNK));
    }
    const above = spacer(), below = spacer();
    let shown = "", ended = false, busy = false;

    function visible() {
      const top = body.getBoundingClientRect().top;
      const from = Math.max(Math.floor(-top / ROW), 0);
      return [from, Math.min(from + Math.ceil(innerHeight / ROW), total)];
    }

    function wanted() {
      const [from, to] = visible();
      const middle = Math.floor((from + to) / 2 / CHUNK), last = Math.floor((total - 1) / CHUNK);
      const begin = Math.max(Math.min(middle - 1, last - 2), 0);
      return [begin, begin + 1, begin + 2].filter((one) => one <= last);
    }

    async function fill() {
      if (ended) return;
      const needed = wanted();
      place(needed);
      const lacking = needed.find((one) => !chunks.has(one));
      if (lacking !== undefined && !busy) {
        busy = true;
        try {
          chunks.set(lacking, await fetchRows(lacking * CHUNK));
        } catch {
          return; // the server has ended; the next scroll asks again
        } finally {
          busy = false;
        }
        forget(needed);
        fill();
      }
    }

    function place(needed) {
      const ready = needed.filter((one) => chunks.has(one));
      const key = ready.join();
      if (key !== shown && ready.length) {
        shown = key;
        body.replaceChildren(above, ...ready.flatMap((one) => chunks.get(one)), below);
        above.firstChild.style.height = `${ready[0] * CHUNK * ROW}px`;
        below.firstChild.style.height = `${Math.max(total - (ready.at(-1) + 1) * CHUNK, 0) * ROW}px`;
      }
      if (!("sorted" in area.dataset)) fit();
    }

    // The view is that of the rows that are seen.
    function fit() {
      const seen = [...body.querySelectorAll("tr[data-row]")].filter((one) => {
        const box = one.getBoundingClientRect();
        return box.bottom > 0 && box.top < innerHeight;
      });
      if (!seen.length) return;
      const starts = seen.map((one) => Number(one.dataset.at));
      const ends = seen.map((one) => Number(one.dataset.at) + Number(one.dataset.took));
      view = { from: Math.max(Math.min(...starts), range.from), to: Math.min(Math.max(...ends), range.to) };
      draw();
    }

    function forget(needed) {
      for (const one of chunks.keys()) if (Math.abs(one - needed[0]) > 20) chunks.delete(one);
    }

    let asked = 0;
    const scrolled = () => { asked ||= requestAnimationFrame(() => { asked = 0; fill(); }); };
    addEventListener("scroll", scrolled, { passive: true });
    addEventListener("resize", scrolled);
    fill();
    return { end() { ended = true; removeEventListener("scroll", scrolled); removeEventListener("resize", scrolled); } };
  }

  draw();
  rows = windowed();
}

async function fetchRows(after) {
  const address = new URL(location.href);
  address.searchParams.set("after", after);
  address.searchParams.set("limit", CHUNK);
  const page = await fetchPage(address);
  return [...page.querySelectorAll("#rows tbody tr[data-row]")].map((row) => document.adoptNode(row));
}

async function fetchPage(address) {
  const answer = await fetch(address, { headers: { Accept: "text/html" } });
  if (!answer.ok) throw new Error(answer.statusText);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

function spacer() {
  const row = document.createElement("tr"), cell = document.createElement("td");
  row.className = "spacer";
  cell.colSpan = 8;
  row.append(cell);
  return row;
}

// From times to places, 0 to 1, and back: pieces of from, to, at and size.
function readScale(text) {
  const numbers = text.split(" ").map(Number), pieces = [];
  for (let at = 0; at + 3 < numbers.length; at += 4) {
    const [from, to, place, size] = numbers.slice(at, at + 4);
    pieces.push({ from, to, place, size });
  }
  const limited = (share) => Math.min(Math.max(Number.isFinite(share) ? share : 0, 0), 1);
  return {
    pieces,
    place(time) {
      const piece = pieces.findLast((one) => one.from <= time) ?? pieces[0];
      return piece.place + piece.size * limited((time - piece.from) / (piece.to - piece.from));
    },
    time(place) {
      const piece = pieces.findLast((one) => one.place <= place) ?? pieces[0];
      return piece.from + (piece.to - piece.from) * limited((place - piece.place) / piece.size);
    },
  };
}

const STEPS = [
  ...[-5, -4, -3, -2, -1].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power)),
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400,
];

// Marks of the axis: place in the view, label, class. Squeezed pauses say how long they are.
function marks(scale, x, width, room) {
  const seen = scale.pieces.filter((one) => one.place + one.size > x && one.place < x + width && one.size > 0);
  const pace = (one) => (one.to - one.from) / one.size;
  const usual = Math.min(...seen.map(pace));
  const isPause = (one) => pace(one) > usual * 1.01;
  const least = room * width * usual;
  const step = STEPS.find((one) => one >= least) ?? 86400 * Math.ceil(least / 86400);
  const found = [], taken = [];
  const add = (begin, place, label, name) => {
    if (begin < 0 || begin + room > 1 + room / 2 || taken.some((one) => begin < one + room && begin + room > one)) return;
    taken.push(begin);
    found.push([place, label, name]);
  };
  for (const one of seen.filter(isPause)) {
    const place = (one.place + one.size / 2 - x) / width;
    add(place - room / 2, place, `┊ ${duration(one.to - one.from)}`, "cut");
  }
  for (const one of seen.filter((other) => !isPause(other))) {
    const first = Math.max(one.from, scale.time(x));
    const times = one.from >= first ? [one.from] : [];
    const end = Math.min(one.to, scale.time(x + width));
    for (let time = Math.ceil(first / step) * step; time <= end && times.length < 200; time += step) times.push(time);
    for (const time of times) {
      const place = (scale.place(time) - x) / width;
      add(place, place, mark(time, step), "clock");
    }
  }
  return found;
}

// As `mark` of drawing/runs.py writes it.
function mark(seconds, step) {
  const digits = step >= 1 ? 0 : step >= 0.1 ? 1 : step >= 0.01 ? 2 : 3;
  if (seconds <= 5e-7) return "0";
  if (seconds < 1) return `${(seconds * 1000).toFixed(step >= 0.001 ? 0 : 2)}ms`;
  if (Number(seconds.toFixed(digits)) < 60) return `${seconds.toFixed(digits)}s`;
  const rounded = Number(seconds.toFixed(digits)), minutes = Math.floor(rounded / 60);
  const clock = (rounded - minutes * 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  const hours = Math.floor(minutes / 60);
  return hours ? `${hours}:${String(minutes % 60).padStart(2, "0")}:${clock}` : `${minutes}:${clock}`;
}

// As `units.duration` writes it.
function duration(seconds) {
  if (seconds < 0.9995) {
    const millis = seconds * 1000;
    return `${millis >= 9.5 || millis === 0 ? millis.toFixed(0) : millis.toFixed(1)}ms`;
  }
  if (seconds < 59.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds), two = (number) => String(number).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`;
  return `${Math.floor(whole / 86400)}d${two(Math.floor((whole % 86400) / 3600))}h`;
}

if (area) start();
