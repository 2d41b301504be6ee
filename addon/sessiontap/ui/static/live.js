// What happens while the page is open: ages of calls in flight go on.

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
