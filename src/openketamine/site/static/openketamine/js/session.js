// The session screen: live parts, the chart, and the sheets on which entries are made.
import { showRefusal } from "./refused.js";
import { SessionChart } from "./chart.js";
import { cutOffBar, follow, keepAges } from "./live.js";
import { Outbox, uuid } from "./outbox.js";
import { gettext } from "./words.js";

const root = document.getElementById("session");
const sheet = document.getElementById("sheet");
const chart = new SessionChart();
let ahead = 0; // the server's clock less this device's, in ms

let zoneMs = 0; // the clinic's offset from UTC

function readClock() {
  const { now } = document.getElementById("now").dataset;
  ahead = Date.parse(now) - Date.now();
  zoneMs = Date.parse(`${now.slice(0, 19)}Z`) - Date.parse(now);
}

function showClock() {
  const wall = new Date(Date.now() + ahead + zoneMs).toISOString().slice(11, 16);
  document.querySelector(".clock").textContent = wall;
}

// The rest between two devices: the server says until when, and refuses what comes before.
function countDown() {
  for (const timer of document.querySelectorAll("[data-until]")) {
    const left = Math.max(Math.ceil((Date.parse(timer.dataset.until) - Date.now() - ahead) / 1000), 0);
    const shown = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    if (timer.textContent !== shown) timer.textContent = shown;
    timer.classList.toggle("over", left === 0);
  }
}

let drawing = false;
let again = false;
async function draw() {
  if (drawing) {
    again = true;
    return;
  }
  drawing = true;
  try {
    const answer = await fetch(root.dataset.chart, { headers: { Accept: "application/json" } });
    if (answer.ok && !answer.redirected) chart.update(await answer.json());
  } catch {
    // The bar says that the line is cut; the chart keeps what it had.
  } finally {
    drawing = false;
    if (again) {
      again = false;
      draw();
    }
  }
}

// A monitor's latest values, into the figures that stand on the screen with unit and age.
function showFigures({ figures }) {
  const write = (name, text, at) => {
    const figure = document.querySelector(`#now [data-figure="${name}"]`);
    const age = figure?.querySelector(".age");
    if (!age || Date.parse(age.dataset.at) > Date.parse(at)) return;
    figure.querySelector("b").textContent = text;
    age.dataset.at = at;
    age.textContent = gettext("just now");
  };
  const { systolic_mmhg: systolic, diastolic_mmhg: diastolic } = figures;
  if (systolic) write("systolic_mmhg", `${systolic[0]}/${diastolic?.[0] ?? "–"}`, systolic[1]);
  for (const name of ["heart_rate_bpm", "spo2_percent"]) {
    if (figures[name]) write(name, `${figures[name][0]}`, figures[name][1]);
  }
}

// What screen readers hear: an alert once, when it opens.
const announced = new Set();
function announce() {
  const open = [...document.querySelectorAll("#alerts [data-alert]")];
  const fresh = open.filter((alert) => !announced.has(alert.dataset.alert));
  announced.clear();
  open.forEach((alert) => announced.add(alert.dataset.alert));
  if (fresh.length) {
    document.getElementById("announce").textContent = fresh
      .map((alert) => alert.querySelector(".what").textContent)
      .join("; ");
  }
}

// The focus goes back to what opened the sheet. Where an entry has done away with that, it goes to
// the next alert, or to the pump, and never to the top of the page.
let opener = "";
let returning = 0;
function giveBack() {
  const alerts = opener.startsWith("ack-") ? document.querySelector("#alerts [id^=ack-]") : null;
  const back = document.getElementById(opener) ?? alerts ?? document.querySelector("#pump .button");
  back?.focus({ preventScroll: true });
}

function closeSheet() {
  sheet.close();
  document.getElementById("sheet-body").replaceChildren();
  returning = Date.now() + 5_000;
  giveBack();
}

function present() {
  if (!sheet.open) {
    sheet.show(); // not modal: chart, alerts and Stop stay within reach
    const alerting = document.querySelector("#alerts .alert:not(.quiet)");
    const narrow = matchMedia("(max-width: 1000px)").matches;
    document.getElementById(alerting && narrow ? "alerts" : "now").scrollIntoView({ block: "start" });
  }
  if (showRefusal(sheet)) return;
  const field = sheet.querySelector(".emergency-signs button, .more-acts a") ?? sheet.querySelector(".fields input, .fields textarea, .buttons button");
  field?.focus({ preventScroll: true });
}
document.body.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id === "sheet-body") present();
});
document.body.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status === 422) {
    // A refusal: the same form with the reason, to be shown in its place.
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
});

// Sheets for the time when the line is cut: fetched ahead, opened from here when the server is silent.
const sheets = new Map();
async function fetchSheets() {
  const wanted = new Map();
  for (const link of document.querySelectorAll("#pump a[hx-get]")) {
    const url = link.getAttribute("hx-get");
    const act = /\/enter\/([a-z-]+)\/$/.exec(url)?.[1];
    if (act && !sheets.has(url)) wanted.set(act, url);
  }
  const more = document.getElementById("act-more")?.getAttribute("hx-get");
  try {
    if (wanted.size) {
      const asked = new URLSearchParams([...wanted.keys()].map((act) => ["act", act]));
      const answer = await fetch(`${root.dataset.sheets}?${asked}`);
      if (!answer.ok || answer.redirected) return;
      for (const [act, html] of Object.entries(await answer.json())) sheets.set(wanted.get(act), html);
    }
    if (more && !sheets.has(more)) {
      const answer = await fetch(more, { headers: { "HX-Request": "true" } });
      if (answer.ok && !answer.redirected) sheets.set(more, await answer.text());
    }
  } catch {
    // The line is cut: what was fetched before is there.
  }
}

function showSheet(html) {
  const body = document.getElementById("sheet-body");
  body.innerHTML = html;
  htmx.process(body);
  present();
}

function openKeptSheet(url) {
  if (!sheets.has(url)) return;
  showSheet(sheets.get(url));
  const id = sheet.querySelector("[name=client_id]");
  if (id) id.value = uuid(); // each opening is an entry of its own
}

const outbox = new Outbox(document.getElementById("outbox"), {
  onSent: () => htmx.trigger(document.body, "session-changed"),
  onCorrect: showSheet,
});

// No answer: an entry is kept with the moment at which it was made, or its sheet stays open.
function notSent(event) {
  const { elt, requestConfig } = event.detail;
  if (requestConfig.verb === "get") {
    if (requestConfig.target?.id === "sheet-body" || elt.matches("#pump a")) openKeptSheet(requestConfig.path);
    return;
  }
  const form = elt.closest("form");
  const title = sheet.querySelector("#sheet-title")?.firstChild?.textContent.trim() ?? gettext("Entry");
  if (form && outbox.keep(form, { title, madeAt: new Date(Date.now() + ahead) })) {
    closeSheet();
    return;
  }
  const unsent = sheet.querySelector("[data-unsent]");
  if (unsent) unsent.hidden = false;
}
htmx.config.timeout = 8_000;
document.body.addEventListener("htmx:sendError", notSent);
document.body.addEventListener("htmx:timeout", notSent);
// A server that cannot store now, or a sign-in that has run out, is no answer either.
document.body.addEventListener("htmx:beforeOnLoad", (event) => {
  const { status } = event.detail.xhr;
  if (status >= 500 || status === 401 || status === 403) notSent(event);
});
document.body.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful && event.detail.requestConfig.verb === "post") {
    outbox.forget(event.detail.requestConfig.formData?.get("client_id"));
  }
});
document.body.addEventListener("htmx:afterSettle", () => {
  readClock();
  announce();
  if (Date.now() < returning && !sheet.open && document.activeElement === document.body) giveBack();
});
document.body.addEventListener("sheet-done", closeSheet);
document.body.addEventListener("session-changed", draw);
document.body.addEventListener("htmx:afterSettle", fetchSheets);
sheet.addEventListener("click", (event) => event.target.closest("[data-close]") && closeSheet());
document.addEventListener("keydown", (event) => event.key === "Escape" && sheet.open && closeSheet());

// A tap writes a usual reason; it is sent as everything is, by the button at the foot of the sheet.
sheet.addEventListener("click", (event) => {
  const words = event.target.closest("[data-says]")?.dataset.says;
  if (words) sheet.querySelector('[name="reason"]').value = words;
});

// A button that was swapped in a moment ago may not be htmx's yet: then its sheet would open as a page.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[hx-target="#sheet-body"]');
  if (link) htmx.process(link);
  if (link?.id && !sheet.contains(link)) opener = link.id;
}, true);

// One key for each act, as the buttons say it themselves; never while somebody writes, and not at
// all where somebody has turned them off, who speaks to the machine or whose hands shake.
const keys = document.getElementById("keys");
const KEYS_OFF = "openketamine-keys-off";
let keysOff = false;
try {
  keysOff = localStorage.getItem(KEYS_OFF) === "yes";
} catch {
  // A device that keeps nothing begins with the keys on.
}
function sayKeys() {
  keys.querySelector("[data-turn-keys]").textContent = keysOff
    ? gettext("Turn the single keys on, on this device")
    : gettext("Turn the single keys off, on this device");
}
keys.querySelector("[data-turn-keys]").addEventListener("click", () => {
  keysOff = !keysOff;
  try {
    localStorage.setItem(KEYS_OFF, keysOff ? "yes" : "no");
  } catch {
    // Until the next page, then.
  }
  sayKeys();
});
sayKeys();
document.querySelector("[data-open-keys]").addEventListener("click", () => showKeys());
function showKeys() {
  const found = [...document.querySelectorAll("[aria-keyshortcuts]")].map((act) => [
    act.getAttribute("aria-keyshortcuts"),
    act.textContent.trim().replace(/\s+/g, " "),
  ]);
  const rows = [...found, ["?", gettext("these keys")], ["esc", gettext("close a sheet")]].flatMap(([key, act]) => {
    const term = document.createElement("dt");
    const words = document.createElement("dd");
    term.textContent = key.toUpperCase();
    words.textContent = act;
    return [term, words];
  });
  keys.querySelector("dl").replaceChildren(...rows);
  keys.showModal();
}
keys.addEventListener("click", (event) => event.target.closest("[data-close-keys]") && keys.close());
document.addEventListener("keydown", (event) => {
  const writing = event.target.closest("input, textarea, select, [contenteditable], dialog[open]:not(.sheet)");
  if (keysOff || writing || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  if (event.key === "?") showKeys();
  if (!/^[a-z]$/i.test(event.key)) return;
  const act = document.querySelector(`[aria-keyshortcuts="${event.key.toLowerCase()}"]`);
  if (!act) return;
  event.preventDefault();
  act.click();
});

// A sheet stands on the dock that holds the pump, and so never covers Stop.
new ResizeObserver(() => {
  const height = document.getElementById("pump").offsetHeight;
  document.documentElement.style.setProperty("--dock", `${height}px`);
}).observe(root);

readClock();
announce();
draw();
setInterval(showClock, 1_000);
countDown();
setInterval(countDown, 1_000);
keepAges(document.body, () => Date.now() + ahead);
if (root.dataset.open === "yes") {
  follow(root.dataset.stream, {
    onChange: () => htmx.trigger(document.body, "session-changed"),
    onReadings: showFigures,
    shown: () => document.getElementById("now").dataset.seq,
    ...cutOffBar(document.getElementById("cut-off"), () => outbox.send()),
  });
  fetchSheets();
}
