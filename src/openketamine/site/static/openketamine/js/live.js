// The line to the clinic's server: told of every change, and loud when it is cut off.
import { fill, gettext, ngettext } from "./words.js";

const SILENCE_MS = 12_000; // two beats missed
const BROKEN_MS = 3_000; // a line that breaks may come back at once, e.g. when a stream has lived out
const LOOK_MS = 1_000;
const CALM_MS = 10_000;
const CROSSED_MS = 1_000;
const CATCH_UP_MS = 1_000;
const IDLE_MS = 15_000;

/**
 * Follow a stream of server-sent events.
 * @param {string} url
 * @param {{onReadings?: (news: object) => void, onChange: () => void, onCut: (since: Date) => void,
 *   onBack: () => void, shown?: () => string}} to `shown` tells the last event that the page shows.
 */
export function follow(url, { onReadings, onChange, onCut, onBack, shown }) {
  let source = null;
  let heardAt = new Date();
  let brokenAt = null;
  let cut = false;
  // The page is fresh. When all screens of a clinic open at once, they do not all look again at once.
  let lookedAt = Date.now() - Math.random() * CALM_MS;
  let looking = null;

  const look = () => {
    clearTimeout(looking?.timer);
    looking = null;
    lookedAt = Date.now();
    onChange();
  };
  // A monitor may read every second: its figures come with the news, the rest is fetched now and then,
  // sooner while a limit is crossed.
  const rarely = (everyMs) => {
    const wait = Math.max(lookedAt + everyMs - Date.now(), 0);
    if (looking && looking.due <= Date.now() + wait) return;
    clearTimeout(looking?.timer);
    looking = { timer: setTimeout(look, wait), due: Date.now() + wait };
  };

  const heard = () => {
    heardAt = new Date();
    brokenAt = null;
    if (cut) {
      cut = false;
      onBack();
      look(); // what happened meanwhile
    }
  };
  const open = () => {
    source?.close();
    const after = shown?.();
    source = new EventSource(after ? `${url}?after=${after}` : url);
    let opened = false;
    source.addEventListener("open", () => (opened = true));
    source.addEventListener("beat", () => {
      heard();
      // Nothing was heard between the page, or the last stream, and this one. The server says whether
      // there was anything, if it knows what the page shows; else look, not all screens at once.
      if (opened && !after) setTimeout(look, CATCH_UP_MS * (0.25 + Math.random()));
      opened = false;
    });
    source.addEventListener("error", () => (brokenAt ??= Date.now()));
    source.addEventListener("changed", () => {
      heard();
      look();
    });
    source.addEventListener("readings", (event) => {
      heard();
      const news = JSON.parse(event.data);
      onReadings?.(news);
      rarely(news.crossed ? CROSSED_MS : CALM_MS);
    });
  };
  open();
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => event.persisted && open());
  setInterval(() => {
    // Alerts rise, and the dose runs on, also where nothing is written.
    if (Date.now() - lookedAt > IDLE_MS) look();
    const silent = Date.now() - heardAt.getTime() > SILENCE_MS;
    const broken = brokenAt !== null && Date.now() - brokenAt > BROKEN_MS;
    if (!silent && !broken) return;
    if (!cut) {
      cut = true;
      onCut(heardAt);
    }
    if (source.readyState !== EventSource.CONNECTING) {
      open(); // the browser has given up: try anew
    }
  }, LOOK_MS);
}

/** Show the bar that says that the screen no longer follows. */
export function cutOffBar(bar, onBack = () => {}) {
  const time = (moment) =>
    moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  return {
    onCut(since) {
      const words = gettext("▲ Cut off from the server since %(time)s. What you see is from then. Watch the patient and the monitor. What you enter is kept on this device and sent when the line is back.");
      bar.textContent = fill(words, { time: time(since) });
      bar.hidden = false;
    },
    onBack() {
      bar.hidden = true;
      onBack();
    },
  };
}

/** Let every age on the page grow, also while no news comes. */
export function keepAges(root, clock) {
  const words = (minutes) => {
    if (minutes < 0) return fill(gettext("in %(span)s"), { span: span(-minutes) });
    return minutes < 1 ? gettext("just now") : fill(gettext("%(span)s ago"), { span: span(minutes) });
  };
  const span = (minutes) => {
    if (minutes < 120) return `${minutes} min`;
    if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h`;
    const days = Math.floor(minutes / 1440);
    return fill(ngettext("%(count)s day", "%(count)s days", days), { count: days });
  };
  setInterval(() => {
    for (const age of root.querySelectorAll(".age[data-at]")) {
      const minutes = Math.trunc((clock() - Date.parse(age.dataset.at)) / 60_000);
      const text = words(minutes);
      if (age.textContent !== text) age.textContent = text;
    }
  }, 5_000);
}
