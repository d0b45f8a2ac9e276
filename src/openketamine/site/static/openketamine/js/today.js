// The day's list follows the record.
import { cutOffBar, follow, keepAges } from "./live.js";
import { Outbox } from "./outbox.js";

const board = document.getElementById("board");
const outbox = new Outbox(document.getElementById("outbox"), {
  onSent: () => htmx.trigger(document.body, "session-changed"),
});
follow(board.dataset.stream, {
  onChange: () => htmx.trigger(document.body, "session-changed"),
  ...cutOffBar(document.getElementById("cut-off"), () => outbox.send()),
});
keepAges(document.body, () => Date.now());
