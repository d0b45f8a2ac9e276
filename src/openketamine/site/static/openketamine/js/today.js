// The day's list follows the record.
import { cutOffBar, follow, keepAges } from "./live.js";

const board = document.getElementById("board");
follow(board.dataset.stream, {
  onChange: () => htmx.trigger(document.body, "session-changed"),
  ...cutOffBar(document.getElementById("cut-off")),
});
keepAges(document.body, () => Date.now());
