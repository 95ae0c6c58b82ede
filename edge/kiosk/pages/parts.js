// Small parts of which the page is drawn. No HTML is ever parsed: every text is a text node.

/** An element with children; text among them is only ever text. */
export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** A drawing of the page's sprite. */
export function icon(id) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#${id}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** A button; `key` finds it again after a redraw, `name` is its label where it has no text. */
export function button(className, key, name, onClick, ...children) {
  const element = make("button", className, ...children);
  element.type = "button";
  element.dataset.key = key;
  if (name) element.setAttribute("aria-label", name);
  element.addEventListener("click", onClick);
  return element;
}

/** Replaces the children; what had the focus keeps it. */
function fill(parent, children) {
  const key = parent.contains(document.activeElement) && document.activeElement.dataset.key;
  parent.replaceChildren(...children);
  if (key) parent.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

/** Replaces the children by those that `children()` makes, if `source` differs from last time. */
export function fillWhenChanged(parent, source, children) {
  const digest = JSON.stringify(source);
  if (parent.dataset.digest === digest) return;
  parent.dataset.digest = digest;
  fill(parent, children());
}

/** Sets the text of an element, and hides one that has none. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !text;
}
