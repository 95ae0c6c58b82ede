// The line to the agent: live events, actions, and coming back by itself after the agent restarted.

const SILENCE_MS = 6500; // three beats of the server
const RETRY_MS = 1000;
const LATE_MS = 1000; // a timer that fires so late says that the page slept, not the agent

/**
 * Calls `onView(view, stamp)` for each state and `onLost()` once when the agent is not heard any
 * more; it goes on trying. The page reloads itself when the agent serves other pages than these.
 */
export function listen(onView, onLost) {
  let source, timer, pages, due;

  const lost = () => {
    source.close();
    onLost();
    clearTimeout(timer);
    timer = setTimeout(open, RETRY_MS);
  };
  const heard = () => {
    clearTimeout(timer);
    due = performance.now() + SILENCE_MS;
    timer = setTimeout(silent, SILENCE_MS);
  };
  const silent = () => (performance.now() > due + LATE_MS ? heard() : lost());

  function open() {
    source = new EventSource("events");
    heard();
    source.addEventListener("hello", (event) => {
      heard();
      const served = JSON.parse(event.data).pages;
      if (pages && pages !== served) location.reload();
      pages = served;
    });
    source.addEventListener("beat", heard);
    source.addEventListener("view", (event) => {
      heard();
      const { view, stamp } = JSON.parse(event.data);
      onView(view, stamp);
    });
    source.addEventListener("error", lost);
  }
  open();
}

/** Sends an action; returns the answer, or throws an Error whose message is the error's code. */
export async function send(address, body) {
  const response = await fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  }).catch(() => {
    throw new Error("other");
  });
  const answer = response.status === 204 ? {} : await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.code ?? "other");
  return answer;
}

/** Tells the server when the event of `stamp` is on the screen: two frames later it surely is. */
export function seen(stamp) {
  requestAnimationFrame(() =>
    requestAnimationFrame(() => send("seen", { stamp }).catch(() => {})),
  );
}
