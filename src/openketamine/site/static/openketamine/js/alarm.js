// Alarms on every staff page: the banner of those that reach this person, and their sound.
//
// A sound is made here, by oscillators, so that no file has to load when it is needed. A browser
// makes none before the page has been touched, and the page says so. Silencing takes name and reason,
// is kept by the server first, and covers only the alarms that sound at that moment.
import { fill, gettext } from "./words.js";

const LOOK_MS = 4_000;
const DEAF_MS = 20_000;
const STORE = "openketamine-quiet";
// Pulses as seconds from the start of a burst, and how often the burst comes.
const SOUNDS = {
  red: { pulses: [0, 0.25, 0.5, 0.9, 1.15, 2, 2.25, 2.5, 2.9, 3.15], every: 8, hertz: 660 },
  amber: { pulses: [0, 0.3, 0.6], every: 20, hertz: 440 },
};

const calls = document.getElementById("calls");
const bar = document.getElementById("sound");
const dialog = document.getElementById("silence");
const page = document.documentElement;
const clockOf = (moment) =>
  new Date(moment).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
const atTheChairs = () => document.getElementById("session") ?? document.getElementById("board");
let context = null;
let lastBurst = { level: "", at: -Infinity };
let heardAt = Date.now();

function stored() {
  try {
    return JSON.parse(localStorage.getItem(STORE) ?? "{}");
  } catch {
    return {};
  }
}

function keep(change) {
  try {
    localStorage.setItem(STORE, JSON.stringify({ ...stored(), ...change }));
  } catch {
    // A device that keeps nothing is silenced until its next page.
  }
}

function device() {
  const known = stored().device;
  if (known) return known;
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const fresh = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  keep({ device: fresh });
  return fresh;
}

/** The alarms on this page, the banner's among them: key to priority. */
function sounding() {
  const found = new Map();
  for (const alarm of document.querySelectorAll("[data-alarm]")) {
    if (alarm.dataset.alarm === "red" || !found.has(alarm.dataset.alert)) {
      found.set(alarm.dataset.alert, alarm.dataset.alarm);
    }
  }
  return found;
}

function quietOnes(alarms) {
  const { until, keys = [] } = stored();
  const lasts = until && Date.parse(until) > Date.now();
  return lasts ? keys.filter((key) => alarms.has(key)) : [];
}

function unlock() {
  context ??= new AudioContext();
  context.resume();
}
unlock(); // a browser that was touched on this site before may let it sound at once
for (const touch of ["pointerdown", "keydown"]) addEventListener(touch, unlock, { capture: true });

function burst(level) {
  const { pulses, hertz } = SOUNDS[level];
  for (const pulse of pulses) {
    const start = context.currentTime + 0.05 + pulse;
    for (const [overtone, loud] of [[1, 0.5], [2, 0.25], [3, 0.15], [4, 0.1]]) {
      const tone = context.createOscillator();
      const gain = context.createGain();
      tone.frequency.value = hertz * overtone;
      gain.gain.setValueAtTime(0, start);
      gain.gain.linearRampToValueAtTime(loud * 0.6, start + 0.02);
      gain.gain.setValueAtTime(loud * 0.6, start + 0.14);
      gain.gain.linearRampToValueAtTime(0, start + 0.18);
      tone.connect(gain).connect(context.destination);
      tone.start(start);
      tone.stop(start + 0.2);
    }
  }
}

function tick() {
  const alarms = sounding();
  const quiet = new Set(quietOnes(alarms));
  const loud = [...alarms].filter(([key]) => !quiet.has(key)).map(([, level]) => level);
  const level = loud.includes("red") ? "red" : loud.includes("amber") ? "amber" : "";
  const ready = context?.state === "running";
  let state = ready ? "ready" : "off";
  if (level) state = ready ? level : "locked";
  else if (quiet.size) state = "silenced";
  page.dataset.sound = state;
  if (level && ready) {
    const due = lastBurst.level !== level || Date.now() - lastBurst.at > SOUNDS[level].every * 1000;
    if (due) {
      burst(level);
      lastBurst = { level, at: Date.now() };
    }
  } else if (!level) {
    lastBurst = { level: "", at: -Infinity };
  }
  show(state);
}

let shown = "";
function show(state) {
  const { until, by, reason } = stored();
  const words = {
    locked: gettext("▲ An alarm is on, and this device makes no sound until it is touched."),
    off: atTheChairs() && bar.dataset.maySilence ? gettext("This device makes no sound until it is touched.") : "",
    ready: atTheChairs() ? gettext("Sound on: alarms are heard on this device.") : "",
    red: gettext("▲ Sounding"),
    amber: gettext("◆ Sounding"),
    silenced: until
      ? fill(gettext("Silent until %(time)s (%(name)s: %(reason)s)"), { time: clockOf(until), name: by, reason })
      : "",
  }[state];
  const silences = (state === "red" || state === "amber") && Boolean(bar.dataset.maySilence);
  const button =
    state === "locked" || state === "off" ? gettext("Turn the sound on") : silences ? gettext("Silence…") : "";
  bar.hidden = !words;
  const now = `${state}|${words}|${button}`;
  if (now === shown) return;
  shown = now;
  bar.replaceChildren();
  if (!words) return;
  const text = document.createElement("span");
  text.textContent = words;
  bar.append(text);
  if (button) {
    const press = document.createElement("button");
    press.type = "button";
    press.className = "button small";
    press.textContent = button;
    press.addEventListener("click", () => silences && ask());
    bar.append(press);
  }
}

async function ask(answer = null) {
  answer ??= await fetch(bar.dataset.silence, { headers: { "HX-Request": "true" } });
  dialog.innerHTML = await answer.text();
  const form = dialog.querySelector("form");
  form.elements.device.value = device();
  form.elements.alarms.value = [...sounding().keys()].join(" ");
  dialog.querySelector("[data-close-silence]").addEventListener("click", () => dialog.close());
  form.addEventListener("submit", silence);
  if (!dialog.open) dialog.showModal();
}

async function silence(event) {
  event.preventDefault();
  const form = event.target;
  const data = new URLSearchParams(new FormData(form));
  let answer;
  try {
    answer = await fetch(form.action, { method: "POST", body: data });
  } catch {
    return; // not kept by the server, so not silent
  }
  if (!answer.ok) {
    if (answer.status === 422) await ask(answer);
    return;
  }
  const { minutes, alarms } = await answer.json();
  keep({
    until: new Date(Date.now() + minutes * 60_000).toISOString(),
    keys: alarms,
    reason: data.get("reason"),
    by: form.dataset.by,
  });
  dialog.close();
  tick();
}

/** Fetch who is called; on a chair's own page its alarms stand in its own list already. */
async function look() {
  try {
    const answer = await fetch(calls.dataset.calls);
    if (!answer.ok || answer.redirected) return;
    const template = document.createElement("template");
    template.innerHTML = await answer.text();
    for (const call of template.content.querySelectorAll(".call")) {
      if (location.pathname.includes(call.dataset.session)) call.remove();
    }
    heardAt = Date.now();
    const html = [...template.content.children].map((call) => call.outerHTML).join("");
    if (calls.dataset.html !== html) {
      calls.dataset.html = html;
      calls.innerHTML = html;
    }
    calls.hidden = !html;
  } catch {
    // Counted below: a page that hears nothing must not look calm.
  }
  if (Date.now() - heardAt > DEAF_MS) {
    calls.dataset.html = "";
    calls.textContent = fill(gettext("▲ Alarms cannot reach this page since %(time)s."), { time: clockOf(heardAt) });
    calls.hidden = Boolean(document.querySelector("#cut-off:not([hidden])"));
  }
  tick();
}

look();
setInterval(look, LOOK_MS);
setInterval(tick, 1_000);
