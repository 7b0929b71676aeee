// The gallery of people. Searching and paging are htmx's; here only what it leaves open.

import "../colega.js";
import { told } from "../dialogs.js";

told();

// Who has reached "Show more" by the keyboard goes on with the first of those who follow.
let goingOn = null;
document.addEventListener("htmx:beforeSwap", (event) => {
  const more = event.target.closest?.("li.more");
  goingOn = more?.contains(document.activeElement) ? more.previousElementSibling : null;
});
document.addEventListener("htmx:afterSettle", () => {
  goingOn?.nextElementSibling?.querySelector("a, button")?.focus();
  goingOn = null;
});
