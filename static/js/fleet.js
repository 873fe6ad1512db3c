// Keeps admin's pages true without a reload: swaps each [data-live="key"] for what the server sends, counts ages up.

const LIST = /-list$/;
const FORBIDDEN = 4403;
const places = new Map();
let clockOffset = 0; // server's clock minus ours, ms
let listing = null;

function collectPlaces() {
  places.clear();
  for (const place of document.querySelectorAll("[data-live]")) {
    const key = place.dataset.live;
    places.set(key, [...(places.get(key) ?? []), place]);
  }
}

function kinds() {
  const wholeKeys = new Set(["timeline", "load"]); // too long a list to hear of every row
  const keys = [...places.keys()].filter((key) => places.get(key).some((place) => !place.closest("[data-live-from]")));
  return [...new Set(keys.map((key) => (wholeKeys.has(key.split(":")[0]) ? key : key.split(":")[0])))];
}

function swap(fragments) {
  for (const [key, html] of Object.entries(fragments)) {
    if (LIST.test(key)) followListing(html);
    for (const place of places.get(key) ?? []) {
      if (!LIST.test(key)) fill(place, html);
    }
  }
  showAges();
}

// What somebody has unfolded stays so, and the keyboard stays where it was.
function fill(place, html) {
  const unfolded = new Set([...place.querySelectorAll("details[open]")].map((details) => details.id));
  const focused = place.contains(document.activeElement) ? selectorOf(document.activeElement) : null;
  const tail = place.querySelector("[data-tail]");
  const scrolledTo = tail && tail.scrollTop + tail.clientHeight < tail.scrollHeight - 8 ? tail.scrollTop : null;
  place.innerHTML = html;
  for (const details of place.querySelectorAll("details[id]")) details.open = unfolded.has(details.id);
  for (const end of place.querySelectorAll("[data-tail]")) end.scrollTop = scrolledTo ?? end.scrollHeight;
  if (focused) place.querySelector(focused)?.focus({ preventScroll: true });
  window.htmx?.process(place);
}

function selectorOf(element) {
  if (element.matches("summary")) return `#${CSS.escape(element.parentElement.id)} > summary`;
  if (element.matches("[data-tail]")) return "[data-tail]";
  return element.matches("a") ? `a[href="${CSS.escape(element.getAttribute("href"))}"]` : null;
}

// Rows that came or went: the change list is fetched anew, unless somebody is ticking rows in it.
async function followListing(ids) {
  const isFirst = listing === null;
  const changed = listing !== ids;
  listing = ids;
  if (isFirst || !changed || document.querySelector("input.action-select:checked")) return;
  const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
  const [fresh, shown] = [page.querySelector("#changelist-form"), document.querySelector("#changelist-form")];
  if (fresh && shown) shown.replaceWith(document.adoptNode(fresh));
  collectPlaces();
}

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

function showAges() {
  const relative = new Intl.RelativeTimeFormat(document.documentElement.lang, { style: "short", numeric: "always" });
  for (const time of document.querySelectorAll("time[data-age]")) {
    const seconds = Math.max(0, Math.round((Date.now() + clockOffset - Date.parse(time.dateTime)) / 1000));
    const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? UNITS.at(-1);
    time.title ||= time.textContent;
    time.textContent = relative.format(-Math.floor(seconds / size), unit);
  }
}

// A dialog takes the keyboard, and gives it back.
let opener = null;

document.addEventListener("htmx:beforeRequest", ({ target }) => {
  if (target.getAttribute("hx-target") === "#modal-content") opener = target.getAttribute("href");
});

document.addEventListener("htmx:afterSettle", ({ target }) => {
  if (target.id === "modal-content") target.querySelector("#dialog-form :is(input, select, textarea), button[type=submit]")?.focus();
});

document.addEventListener("keydown", ({ key }) => {
  if (key === "Escape" && opener) document.querySelector(`a[href="${CSS.escape(opener)}"]`)?.focus();
});

function say(state) {
  for (const sign of document.querySelectorAll("[data-live-sign]")) {
    sign.dataset.state = state;
    sign.textContent = sign.dataset[state] ?? "";
  }
}

// Follows one socket for as long as it is wanted; the answer ends that.
function follow(path, query = {}) {
  let attempts = 0, isOver = false, socket, timer;
  function connect() {
    const url = new URL(path, location.href.replace(/^http/, "ws"));
    url.search = new URLSearchParams({ ...query, language: document.documentElement.lang });
    socket = new WebSocket(url);
    socket.addEventListener("message", ({ data }) => {
      const { now, fragments } = JSON.parse(data);
      attempts = 0;
      clockOffset = Date.parse(now) - Date.now();
      say("live");
      swap(fragments);
    });
    socket.addEventListener("close", ({ code }) => {
      if (isOver) return;
      if (code === FORBIDDEN) return say("forbidden");
      say("lost");
      timer = setTimeout(connect, Math.min(10_000, 500 * 2 ** attempts++));
    });
  }
  connect();
  return () => {
    isOver = true;
    clearTimeout(timer);
    socket.close();
  };
}

// What is dear to ask for has a socket of its own, open while somebody has it unfolded.
for (const details of document.querySelectorAll("details[data-live-from]")) {
  let stop = null;
  details.addEventListener("toggle", () => {
    stop?.();
    stop = details.open ? follow(details.dataset.liveFrom) : null;
  });
}

collectPlaces();
setInterval(showAges, 1000);
showAges();
if (kinds().length) follow("/ws/fleet/", { watch: kinds().join(",") });
