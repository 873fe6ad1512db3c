// Keeps admin's pages true without a reload: swaps each [data-live="key"] for what the server sends, counts ages up.

const LIST = /-list$/;
const FORBIDDEN = 4403;
const places = new Map();
let clockOffset = 0; // server's clock minus ours, ms
let listing = null;
let attempts = 0;

function collectPlaces() {
  places.clear();
  for (const place of document.querySelectorAll("[data-live]")) {
    const key = place.dataset.live;
    places.set(key, [...(places.get(key) ?? []), place]);
  }
}

function kinds() {
  const wholeKeys = new Set(["timeline"]); // too long a list to hear of every row
  return [...new Set([...places.keys()].map((key) => (wholeKeys.has(key.split(":")[0]) ? key : key.split(":")[0])))];
}

function swap(fragments) {
  for (const [key, html] of Object.entries(fragments)) {
    if (LIST.test(key)) followListing(html);
    for (const place of places.get(key) ?? []) {
      if (!LIST.test(key)) place.innerHTML = html;
    }
  }
  showAges();
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

function say(state) {
  for (const sign of document.querySelectorAll("[data-live-sign]")) {
    sign.dataset.state = state;
    sign.textContent = sign.dataset[state] ?? "";
  }
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const query = new URLSearchParams({ watch: kinds().join(","), language: document.documentElement.lang });
  const socket = new WebSocket(`${scheme}://${location.host}/ws/fleet/?${query}`);
  socket.addEventListener("message", ({ data }) => {
    const { now, fragments } = JSON.parse(data);
    attempts = 0;
    clockOffset = Date.parse(now) - Date.now();
    say("live");
    swap(fragments);
  });
  socket.addEventListener("close", ({ code }) => {
    if (code === FORBIDDEN) return say("forbidden");
    say("lost");
    setTimeout(connect, Math.min(10_000, 500 * 2 ** attempts++));
  });
}

collectPlaces();
setInterval(showAges, 1000);
showAges();
if (places.size) connect();
