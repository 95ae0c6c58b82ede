// Makes pages live; without it they can still be read. Times are shown in the reader's own zone,
// and a lost connection is said instead of hidden.
"use strict";

const moment = new Intl.DateTimeFormat(document.documentElement.lang, {
  dateStyle: "medium",
  timeStyle: "medium",
  hourCycle: "h23",
});

function showLocalTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.title = time.dateTime;
    time.textContent = moment.format(new Date(time.dateTime));
  }
}

document.addEventListener("DOMContentLoaded", () => showLocalTimes(document));
document.addEventListener("htmx:load", (event) => showLocalTimes(event.detail.elt));

/** Marks a table that goes on to the right, where scrollbars are hidden until one scrolls. */
function markWide() {
  for (const box of document.querySelectorAll(".scroll")) {
    box.classList.toggle("more", box.scrollWidth - box.clientWidth - box.scrollLeft > 1);
  }
}
for (const event of ["DOMContentLoaded", "htmx:load"]) document.addEventListener(event, markWide);
document.addEventListener("scroll", markWide, { capture: true, passive: true });
addEventListener("resize", markWide);

function tell(stale) {
  const notice = document.getElementById("stale");
  if (notice) notice.hidden = !stale;
}
document.addEventListener("htmx:sendError", () => tell(true));
document.addEventListener("htmx:responseError", () => tell(true));
document.addEventListener("htmx:afterOnLoad", () => tell(false));
