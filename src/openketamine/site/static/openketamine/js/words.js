// The words of the scripts in the language of the page, and English where its catalogue did not load.
//
// The catalogue (Django's own, see `site/urls.py`) is a plain script before the modules. Every text is
// marked where it stands, by gettext or ngettext.

export const gettext = (text) => globalThis.django?.gettext?.(text) ?? text;

export const ngettext = (one, many, count) =>
  globalThis.django?.ngettext?.(one, many, count) ?? (count === 1 ? one : many);

/** A text with its places filled: fill("since %(time)s", { time: "14:05" }). */
export const fill = (text, values) => text.replace(/%\((\w+)\)s/g, (_place, name) => `${values[name]}`);
