// A session at home, on the phone of the patient or of the adult at hand.
//
// The page knows every step. What is entered goes to the server at once; where the line is cut it is kept
// on this phone, and sent in order, each entry once, with the time at which it was made. Until then the page
// goes on as if it had arrived. Two things never happen without the server: a dose is not begun before the
// clinic's yes has reached this phone, nor after that yes has run out.

import { uuid } from "./outbox.js";

const root = document.getElementById("home");
const WORDS = JSON.parse(root.dataset.words);
const WHO = root.dataset.who;
const STORE = `openketamine-home:${root.dataset.session}:${WHO}`;
const WAIT_MS = 12_000;
const RETRY_MS = 4_000;
const LOOK_MS = { decide: 4_000, go: 5_000, other: 10_000 };
const AFTER_DOSE = ["hold", "rest", "finished"];
const WIDEST_PX = 1280;

const find = (selector) => document.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// ---------------------------------------------------------------- what this phone keeps

function read(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`${STORE}:${name}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function write(name, value) {
  localStorage.setItem(`${STORE}:${name}`, JSON.stringify(value));
}

let known = { state: JSON.parse(root.dataset.state), ahead: 0 };
known.ahead = Date.parse(known.state.now) - Date.now();
const before = read("state", null);
// A page that opened without the line is an old one; what this phone has heard since is newer.
if (before && Date.parse(before.state.now) >= Date.parse(known.state.now)) known = before;
let heard = true;

const now = () => Date.now() + known.ahead;
const pending = () => read("entries", []);

function learn(state) {
  known = { state, ahead: Date.parse(state.now) - Date.now() };
  try {
    write("state", known);
  } catch {
    // A phone that keeps nothing shows what it has just heard.
  }
}

/** The session as it will be when all that waits here has arrived. */
function projected() {
  const state = structuredClone(known.state);
  for (const entry of pending()) {
    const made = Date.parse(entry.made_at);
    if (entry.kind === "check_in" && !state.dose_at) state.phase = "decide";
    if (entry.kind === "here") state.adult_here = true;
    if (entry.kind === "dose" && !state.dose_at) {
      state.dose_at = entry.made_at;
      state.phase = state.hold_min ? "hold" : "rest";
      state.hold_until = new Date(made + state.hold_min * 60_000).toISOString();
      state.due = state.times.map((minutes) => ({ at: new Date(made + minutes * 60_000).toISOString() }));
      state.ready_at = new Date(made + state.ready_min * 60_000).toISOString();
    }
    if (entry.kind === "hold") {
      state.hold_ended = true;
      if (state.phase === "hold") state.phase = "rest";
    }
    if (entry.kind === "how") {
      state.due = state.due.filter((each) => Date.parse(each.at) - state.grace_min * 60_000 > made);
    }
    if (entry.kind === "finish") {
      state.finished = true;
      state.phase = "finished";
    }
  }
  return state;
}

// ---------------------------------------------------------------------- sending

let sending = false;

/** Offer one entry: "sent", "later", or {refused, field}. */
async function post(entry) {
  let answer;
  try {
    answer = await fetch(root.dataset.enterUrl, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(entry),
      signal: AbortSignal.timeout(WAIT_MS),
    });
    if (answer.status !== 200 && answer.status !== 422 && answer.status !== 400) return "later";
    const told = await answer.json();
    heard = true;
    if (told.state) learn(told.state);
    return answer.status === 200 ? "sent" : { refused: told.refused, field: told.field };
  } catch {
    heard = false;
    return "later";
  }
}

async function sendWaiting() {
  if (sending) return;
  sending = true;
  try {
    for (const entry of pending()) {
      const outcome = await post(entry);
      if (outcome === "later") break;
      write("entries", pending().filter((other) => other.client_id !== entry.client_id));
      if (outcome.refused) problem(outcome.refused);
      else say(WORDS.sent);
    }
  } finally {
    sending = false;
  }
  show();
}

async function look() {
  try {
    const answer = await fetch(root.dataset.stateUrl, { signal: AbortSignal.timeout(WAIT_MS) });
    if (!answer.ok) throw new Error(String(answer.status));
    learn((await answer.json()).state);
    heard = true;
  } catch {
    heard = false;
  }
  if (pending().length) await sendWaiting();
  show();
}

function fields(form, submitter) {
  const data = {};
  for (const [name, value] of new FormData(form)) data[name] = value;
  if (form.dataset.choice && submitter) data[form.dataset.choice] = submitter.value;
  return data;
}

let busy = false;

async function submit(form, submitter) {
  if (busy) return;
  problem("");
  const open = all("input, textarea, select", form).find((field) => !field.checkValidity());
  if (open) {
    problem(WORDS.answer);
    open.focus();
    return;
  }
  const entry = {
    kind: form.dataset.kind,
    client_id: uuid(),
    made_at: new Date(now()).toISOString(),
    data: fields(form, submitter),
  };
  if (photo && entry.kind === "check_in") entry.photo = photo;
  // Earlier entries come first: the server must hear them in the order in which they were made.
  busy = true;
  if (submitter) submitter.disabled = true;
  try {
    if (pending().length) await sendWaiting();
    const outcome = pending().length ? "later" : await post(entry);
    if (outcome === "later" && !keep(entry)) return;
    if (outcome.refused) {
      problem(outcome.refused);
      const field = outcome.field && form.elements[outcome.field];
      if (field) screenOf(field);
      return;
    }
    forget(form);
    form.reset();
    if (outcome === "sent") say(WORDS.sent);
    else say(WORDS.kept);
  } finally {
    busy = false;
    if (submitter) submitter.disabled = false;
    show();
  }
}

/** Keep an entry until the line is back; false where it cannot wait. */
function keep(entry) {
  if (entry.kind === "dose") {
    const state = projected();
    const allowed = state.phase === "go" && state.adult_here && Date.parse(state.go_until) > now();
    if (!allowed) {
      problem(WORDS.cut);
      return false;
    }
  }
  try {
    write("entries", [...pending(), entry]);
    return true;
  } catch {
    problem(WORDS.not_kept);
    return false;
  }
}

// ---------------------------------------------------------------------- showing

function problem(words) {
  const box = find("#problem");
  box.textContent = words;
  box.hidden = !words;
  if (words) box.focus();
}

function say(words) {
  find("#said").textContent = words;
}

const clockOf = (moment) =>
  new Date(moment).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });

let step = "";

function stepOf(state) {
  if (asking && ["decide", "go"].includes(state.phase)) return "check";
  return state.phase === "hold" && state.hold_ended ? "rest" : state.phase;
}

let asking = false;

function show() {
  const state = projected();
  const waiting = pending().length;
  const line = find("#line");
  line.hidden = heard && !waiting;
  const words = waiting ? WORDS.kept : WORDS.cut;
  if (!line.hidden && line.textContent !== words) line.textContent = words;
  if (WHO === "patient") showPatient(state);
  else showAdult(state);
}

/** Move to another step: it is announced by the focus on its heading. */
function moveTo(next) {
  for (const section of all("[data-step]")) section.hidden = section.dataset.step !== next;
  if (step && step !== next) {
    const heading = find(`[data-step="${next}"] h1`);
    heading?.focus();
    scrollTo(0, 0);
  }
  step = next;
  root.dataset.now = next;
}

function showPatient(state) {
  const next = stepOf(state);
  if (next !== step) moveTo(next);
  if (next === "go") {
    const soon = find("[data-step=go] [data-time=go_until]");
    soon.textContent = clockOf(state.go_until);
    find("[data-adult-words]").textContent = state.adult_here ? WORDS.adult_here : WORDS.adult_waits;
    find("[data-need-adult] button").disabled = busy || !state.adult_here;
    if (Date.parse(state.go_until) <= now()) {
      asking = true;
      moveTo("check");
    }
  }
  if (next === "hold") showTimer(state);
  if (next === "rest") {
    showDue(state);
    showExpected(state.expected);
    const ready = state.ready_at && Date.parse(state.ready_at) <= now();
    find("[data-finish]").hidden = !ready;
  }
}

let lastSaid = null;

function showTimer(state) {
  const left = Math.max(Date.parse(state.hold_until) - now(), 0);
  const seconds = Math.ceil(left / 1000);
  find("[data-timer]").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  const over = left === 0;
  find("[data-over]").hidden = !over;
  find("[data-while]").hidden = over;
  const planned = find(`form[data-choice] [value="${state.after_hold}"]`);
  planned.classList.toggle("primary", over);
  const minutes = Math.ceil(seconds / 60);
  if (minutes !== lastSaid) {
    lastSaid = minutes;
    const words = over ? find("[data-over]").textContent : `${minutes} ${WORDS.minutes}`;
    find("[data-timer-said]").textContent = words;
    if (over) navigator.vibrate?.([400, 200, 400]);
  }
}

function showDue(state) {
  const due = state.due[0];
  const open = due && Date.parse(due.at) <= now();
  let words = "";
  if (open) words = due.late ? WORDS.late : WORDS.due;
  else if (due) words = `${WORDS.next} ${clockOf(due.at)}.`;
  for (const place of all("[data-due]")) {
    if (place.textContent !== words) {
      place.textContent = words;
      if (open) say(words);
    }
    place.classList.toggle("is-due", Boolean(open));
  }
}

/** What to expect, drawn anew when the clinic has taken in what was measured. */
function showExpected(expected) {
  const figure = find("[data-expected]");
  if (!expected?.words || !figure) return;
  figure.hidden = false;
  const area = figure.querySelector(".area");
  if (area.getAttribute("d") !== expected.curve) area.setAttribute("d", expected.curve);
  const words = figure.querySelector("figcaption");
  if (words.textContent !== expected.words) words.textContent = expected.words;
}

function showAdult(state) {
  const over = ["closed", "no_go", "cancelled"].includes(state.phase);
  const taken = AFTER_DOSE.includes(state.phase);
  const part = over ? "over" : taken ? "watching" : state.adult_here ? "waiting" : "before";
  root.dataset.now = part;
  for (const section of all("[data-adult-step]")) section.hidden = section.dataset.adultStep !== part;
  const status = find("[data-status]");
  const words = taken ? `${WORDS.taken} ${clockOf(state.dose_at)}.` : over ? "" : WORDS.not_taken;
  if (status.textContent !== words) status.textContent = words;
  if (taken) showDue(state);
}

// ------------------------------------------------------- the questions, one on a screen

const questions = find("form[data-screens]");
const screens = questions ? all("[data-screen]", questions) : [];
let at = 0;

function go(to, { focus = true } = {}) {
  at = Math.min(Math.max(to, 0), screens.length - 1);
  screens.forEach((screen, index) => (screen.hidden = index !== at));
  find("[data-number]").textContent = at + 1;
  find("[data-of]").textContent = screens.length;
  const bar = find("[data-progress]");
  bar.max = screens.length;
  bar.value = at + 1;
  find("[data-back]").hidden = at === 0;
  find("[data-next]").hidden = at === screens.length - 1;
  find("[data-send]").hidden = at !== screens.length - 1;
  if (focus) (screens[at].querySelector("input, textarea") ?? screens[at].querySelector("p"))?.focus();
}

function screenOf(field) {
  const element = field instanceof RadioNodeList ? field[0] : field;
  const index = screens.findIndex((screen) => screen.contains(element));
  if (index >= 0) go(index);
}

function draft() {
  if (!questions) return;
  try {
    write("draft", { at, data: fields(questions) });
  } catch {
    // Only convenience: answers that are not sent are asked again.
  }
}

function forget(form) {
  if (form !== questions) return;
  localStorage.removeItem(`${STORE}:draft`);
  photo = null;
  asking = false;
  find("[data-preview]").hidden = true;
  find("[data-confirm]").hidden = true;
  go(0, { focus: false });
}

function nextScreen() {
  const open = all("input, textarea", screens[at]).find((field) => !field.checkValidity());
  if (open) {
    problem(WORDS.answer);
    open.focus();
    return;
  }
  problem("");
  go(at + 1);
  draft();
}

if (questions) {
  const kept = read("draft", null);
  if (kept) {
    for (const [name, value] of Object.entries(kept.data)) {
      const field = questions.elements[name];
      if (field && field.type !== "file") field.value = value;
    }
  }
  go(kept?.at ?? 0, { focus: false });
  find("[data-next]").addEventListener("click", nextScreen);
  find("[data-back]").addEventListener("click", () => go(at - 1));
  questions.addEventListener("input", draft);
  questions.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.tagName === "INPUT" && at < screens.length - 1) {
      event.preventDefault();
      nextScreen();
    }
  });
  find("[data-again]").addEventListener("click", () => {
    asking = true;
    show();
  });
}

// ------------------------------------------------------- a picture of the cuff

let photo = null;

find("[data-photo]")?.addEventListener("change", async (event) => {
  const file = event.target.files[0];
  if (!file) return;
  try {
    const picture = await createImageBitmap(file);
    const scale = Math.min(1, WIDEST_PX / Math.max(picture.width, picture.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(picture.width * scale);
    canvas.height = Math.round(picture.height * scale);
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    photo = canvas.toDataURL("image/jpeg", 0.7);
    const preview = find("[data-preview]");
    preview.src = photo;
    preview.hidden = false;
    const confirm = find("[data-confirm]");
    confirm.hidden = false;
    confirm.querySelector("input").required = true;
    say(WORDS.photo);
  } catch {
    photo = null;
  }
});

// ---------------------------------------------------------------------- the clock

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-kind]");
  if (!form) return;
  event.preventDefault();
  submit(form, event.submitter);
});
addEventListener("online", look);
addEventListener("pageshow", look);
document.addEventListener("visibilitychange", () => document.hidden || look());
setInterval(() => pending().length && sendWaiting(), RETRY_MS);
setInterval(show, 1_000);

let looked = Date.now();
setInterval(() => {
  if (Date.now() - looked < (LOOK_MS[step] ?? LOOK_MS.other)) return;
  looked = Date.now();
  look();
}, 1_000);

try {
  write("state", known);
} catch {
  // See `learn`.
}
show();

// The page that is open now was loaded before its worker watched: it is kept by itself.
async function keepThisPage() {
  try {
    await navigator.serviceWorker.register(root.dataset.worker, { scope: root.dataset.scope });
    await navigator.serviceWorker.ready;
    const files = performance.getEntriesByType("resource").map((entry) => entry.name);
    const kept = await caches.open("openketamine-home-1");
    await kept.addAll([location.href, ...new Set(files.filter((name) => name.includes("/static/")))]);
    root.dataset.kept = "yes";
  } catch {
    // Without a worker the page goes on all the same, for as long as it stays open.
  }
}
if ("serviceWorker" in navigator) keepThisPage();
