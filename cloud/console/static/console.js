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

function tell(stale) {
  const notice = document.getElementById("stale");
  if (notice) notice.hidden = !stale;
}
document.addEventListener("htmx:sendError", () => tell(true));
document.addEventListener("htmx:responseError", () => tell(true));
document.addEventListener("htmx:afterOnLoad", () => tell(false));
