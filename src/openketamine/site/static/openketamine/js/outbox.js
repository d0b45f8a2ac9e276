// Entries made while the server cannot be reached: kept on this device, sent in order, counted once.
//
// What is kept lies in the browser's storage, so it outlives a reload and an empty battery. It belongs
// to the person who made it and is sent only under that person's sign-in. The server knows each entry
// by its client_id, so that one whose answer was lost on the way is not stored twice.
import { fill, gettext, ngettext } from "./words.js";

const STORE = "openketamine-outbox";
const RETRY_MS = 5_000;
const WAIT_MS = 15_000;

/** A random UUID; crypto.randomUUID is missing where a clinic serves plain http on its own network. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function labelOf(field) {
  const label = field.labels?.[0]?.cloneNode(true);
  label?.querySelectorAll(".muted").forEach((aside) => aside.remove()); // "optional"
  return label?.textContent.trim().replace(/\s+/g, " ") || field.name;
}

/** What a form says, for a person: "Systolic 141, Diastolic 86". */
function inWords(form) {
  const words = [];
  for (const field of form.elements) {
    const chosen = field.type === "radio" || field.type === "checkbox" ? field.checked : true;
    if (!field.name || field.type === "hidden" || !chosen || !field.value) continue;
    const label = labelOf(field);
    const unit = field.parentElement.querySelector(":scope > .muted")?.textContent ?? "";
    words.push(field.type === "radio" ? label : `${label} ${field.value.trim()} ${unit}`.trim());
  }
  return words.join(", ");
}

const clockOf = (iso) =>
  new Date(iso).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });

export class Outbox {
  /**
   * @param {HTMLElement} box shows what waits; its data-user is who is signed in
   * @param {{onSent?: () => void, onCorrect?: (html: string) => void}} to
   */
  constructor(box, { onSent = () => {}, onCorrect = null } = {}) {
    this.box = box;
    this.user = box.dataset.user;
    this.onSent = onSent;
    this.onCorrect = onCorrect;
    this.sending = false;
    box.addEventListener("click", (event) => this.answer(event));
    addEventListener("online", () => this.send());
    addEventListener("storage", (event) => event.key === STORE && this.show());
    setInterval(() => this.mine().some((entry) => !entry.refused) && this.send(), RETRY_MS);
    document.querySelector(".who form")?.addEventListener("submit", (event) => {
      if (this.mine().length && this.box.dataset.warned !== "yes") {
        event.preventDefault();
        this.box.dataset.warned = "yes";
        this.show(gettext("Entries still wait on this device. Sign out again to leave them here; they are sent when you sign in next."));
      }
    });
    this.show();
    this.send();
  }

  all() {
    try {
      return JSON.parse(localStorage.getItem(STORE) ?? "[]");
    } catch {
      return [];
    }
  }

  mine() {
    return this.all().filter((entry) => entry.user === this.user);
  }

  change(change) {
    localStorage.setItem(STORE, JSON.stringify(change(this.all())));
    this.show();
  }

  /**
   * Keep what a form says, as made at a moment.
   * @returns {boolean} false where this entry cannot wait, or the device cannot keep it
   */
  keep(form, { title, madeAt }) {
    if (!form.elements.made_at) return false;
    const data = new FormData(form);
    if (!data.get("client_id")) data.set("client_id", uuid());
    data.set("made_at", madeAt.toISOString());
    const entry = {
      id: data.get("client_id"),
      user: this.user,
      url: form.getAttribute("action"),
      patient: this.box.dataset.patient ?? "",
      title,
      words: inWords(form),
      body: new URLSearchParams(data).toString(),
      made_at: madeAt.toISOString(),
    };
    try {
      this.change((all) => [...all.filter((other) => other.id !== entry.id), entry]);
    } catch {
      return false; // the device's storage is full or shut: the sheet stays open
    }
    return true;
  }

  /** An entry that has reached the record in another way, e.g. corrected on its sheet. */
  forget(id) {
    if (this.all().some((entry) => entry.id === id)) {
      this.change((all) => all.filter((entry) => entry.id !== id));
    }
  }

  /** Send what waits, the oldest first; stops at the first that does not get through. */
  async send() {
    if (this.sending) return;
    this.sending = true;
    let sent = 0;
    try {
      for (const entry of this.mine()) {
        if (entry.refused) continue;
        const outcome = await this.post(entry);
        if (outcome === "later") break;
        if (outcome === "sent") {
          sent += 1;
          this.change((all) => all.filter((other) => other.id !== entry.id));
        } else {
          this.change((all) =>
            all.map((other) => (other.id === entry.id ? { ...other, ...outcome } : other)),
          );
        }
      }
    } finally {
      this.sending = false;
    }
    if (sent) {
      const news = ngettext(
        "The entry made while cut off is in the record now.",
        "%(count)s entries made while cut off are in the record now.",
        sent,
      );
      this.show(fill(news, { count: sent }));
      this.onSent();
    }
  }

  async post(entry) {
    const body = new URLSearchParams(entry.body);
    const token = document.querySelector("[name=csrfmiddlewaretoken]")?.value;
    if (token) body.set("csrfmiddlewaretoken", token); // the sign-in may be another since
    let answer;
    try {
      answer = await fetch(entry.url, {
        method: "POST",
        body,
        headers: { "HX-Request": "true" },
        redirect: "manual",
        signal: AbortSignal.timeout(WAIT_MS),
      });
    } catch {
      return "later";
    }
    if (answer.status === 204) return "sent";
    if (answer.status !== 422) {
      if (answer.type === "opaqueredirect" || answer.status === 403) {
        this.show(gettext("Sign in again: your entries wait on this device until then."));
      }
      return "later";
    }
    const html = await answer.text();
    const page = new DOMParser().parseFromString(html, "text/html");
    const reasons = [...page.querySelectorAll(".form-errors:not([data-unsent]), .errorlist, .error")];
    const words = [...new Set(reasons.map((item) => item.textContent.trim().replace(/\s+/g, " ")))];
    return { refused: words.join(" ") || gettext("Not accepted."), html };
  }

  answer(event) {
    const button = event.target.closest("button[data-entry]");
    const entry = button && this.all().find((other) => other.id === button.dataset.entry);
    if (!entry) return;
    if (button.dataset.do === "correct") this.onCorrect?.(entry.html);
    else this.asNote(entry);
  }

  /** What the record cannot take as it was meant is kept in words, never thrown away. */
  asNote(entry) {
    const body = new URLSearchParams(entry.body);
    const text = fill(
      gettext("Entered at %(time)s while cut off, not accepted as %(title)s: %(words)s. %(refused)s"),
      {
        time: clockOf(entry.made_at),
        title: entry.title.toLowerCase(),
        words: entry.words || gettext("no details"),
        refused: entry.refused,
      },
    );
    const note = new URLSearchParams({
      csrfmiddlewaretoken: body.get("csrfmiddlewaretoken") ?? "",
      client_id: uuid(),
      made_at: entry.made_at,
      text,
    });
    const kept = {
      ...entry,
      id: note.get("client_id"),
      url: entry.url.replace(/enter\/[^/]+\/$/, "enter/note/"),
      title: gettext("Note"),
      words: text,
      body: note.toString(),
      refused: undefined,
      html: undefined,
    };
    this.change((all) => all.map((other) => (other.id === entry.id ? kept : other)));
    this.send();
  }

  show(news = "") {
    const entries = this.mine();
    const others = this.all().length - entries.length;
    this.box.hidden = !entries.length && !others && !news;
    const line = (text, css = "") => {
      const item = document.createElement(css === "li" ? "li" : "p");
      item.textContent = text;
      return item;
    };
    const parts = [];
    if (news) parts.push(line(news));
    if (others) {
      const waits = ngettext(
        "%(count)s entry of another person wait on this device until that person signs in.",
        "%(count)s entries of another person wait on this device until that person signs in.",
        others,
      );
      parts.push(line(fill(waits, { count: others })));
    }
    if (entries.length) {
      const list = document.createElement("ul");
      for (const entry of entries) {
        const who = entry.patient ? `${entry.patient}: ` : "";
        const item = line(`${clockOf(entry.made_at)} ${who}${entry.title}. ${entry.words}`, "li");
        if (entry.refused) {
          const why = line(fill(gettext("Not accepted: %(reason)s"), { reason: entry.refused }));
          why.className = "refused";
          item.append(why, ...this.buttons(entry));
        }
        list.append(item);
      }
      const waiting = entries.filter((entry) => !entry.refused).length;
      if (waiting) {
        const kept = gettext("Kept on this device, sent when the line is back (%(count)s):");
        parts.push(line(fill(kept, { count: waiting })));
      }
      parts.push(list);
    }
    this.box.replaceChildren(...parts);
  }

  buttons(entry) {
    const make = (act, text) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "button small";
      button.dataset.entry = entry.id;
      button.dataset.do = act;
      button.textContent = text;
      return button;
    };
    const note = make("note", gettext("Keep it as a note"));
    return this.onCorrect && entry.html ? [make("correct", gettext("Put it right")), note] : [note];
  }
}
