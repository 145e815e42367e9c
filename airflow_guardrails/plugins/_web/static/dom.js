// Elements are built from text and checked values only: reports contain text of others, which may be hostile.

const SVG = "http://www.w3.org/2000/svg";

// An attribute that is not listed here is refused. URLs are set by the two functions for links, and styles never.
const ATTRIBUTES =
  /^(class|id|title|role|lang|type|name|value|placeholder|list|for|scope|colspan|open|disabled|selected|autofocus|tabindex|datetime|hidden|autocomplete|aria-[a-z]+|data-[a-z]+)$/;
const SVG_ATTRIBUTES =
  /^(class|id|role|aria-[a-z]+|viewBox|width|height|x|y|x1|x2|y1|y2|cx|cy|r|rx|d|text-anchor|focusable)$/;

/** Build an HTML element. A function is set as event handler; null and false are left out. */
export function h(name, properties, ...children) {
  return build(document.createElement(name), properties, children, ATTRIBUTES);
}

/** Build an SVG element. */
export function svg(name, properties, ...children) {
  return build(document.createElementNS(SVG, name), properties, children, SVG_ATTRIBUTES);
}

/** Build a link to a page of this server; only the text if the address is none. */
export function link(url, text, properties) {
  // Two slashes begin the address of another server.
  if (!/^\/(?![/\\])/.test(url)) return h("span", null, text);
  const element = h("a", properties, text);
  element.href = url;
  return element;
}

/** Build a link to a page of AWS, in a window of its own; only the text if the address is not https://. */
export function consoleLink(url, text, properties) {
  if (!/^https:\/\//i.test(url ?? "")) return h("span", properties, text);
  // A frame of Airflow opens no windows, and AWS's console is shown in no frame: the address can be copied.
  if (window.top !== window) return h("span", properties, text, " ", h("code", null, url));
  const element = h("a", properties, text);
  element.href = url;
  element.target = "_blank";
  element.rel = "noopener noreferrer";
  return element;
}

/** Text that only screen readers get. */
export function hidden(...children) {
  return h("span", { class: "hidden" }, ...children);
}

/** Visually hidden table, as the text alternative of a chart. */
export function hiddenTable(caption, head, rows) {
  const cells = (name, row) =>
    h(
      "tr",
      null,
      row.map((cell) => h(name, null, cell)),
    );
  return h(
    "table",
    { class: "hidden" },
    h("caption", null, caption),
    h("thead", null, cells("th", head)),
    h(
      "tbody",
      null,
      rows.map((row) => cells("td", row)),
    ),
  );
}

function build(element, properties, children, attributes) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element[name] = value;
    else if (attributes.test(name)) element.setAttribute(name, value === true ? "" : String(value));
    else throw new Error(`attribute ${name} is not allowed`);
  }
  element.append(...children.flat(Infinity).filter(isShown).map(asNode));
  return element;
}

function isShown(child) {
  return child !== null && child !== undefined && child !== false && child !== "";
}

function asNode(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

/**
 * Change the children of an element on the page so that they equal those of a new one.
 *
 * What did not change stays the same node, so focus, selection, scrolling and opened details survive. Elements
 * with data-key are found again wherever they have moved.
 */
export function patch(current, wanted) {
  const keyed = new Map([...current.children].filter(keyOf).map((child) => [keyOf(child), child]));
  let next = current.firstChild;
  const removeNext = () => {
    const last = next;
    next = next.nextSibling;
    last.remove();
  };
  for (const child of [...wanted.childNodes]) {
    const match = keyOf(child) ? keyed.get(keyOf(child)) : ahead(next, child.nodeName);
    if (match?.nodeName !== child.nodeName) {
      current.insertBefore(child, next);
      continue;
    }
    // What has no key and stands before it is gone. A node that is not moved keeps the focus.
    while (next && next !== match && !keyOf(next)) removeNext();
    if (match === next) next = next.nextSibling;
    else current.insertBefore(match, next);
    update(match, child);
  }
  while (next) removeNext();
}

/** The first node of a kind from *node* on, before the next one with a key. */
function ahead(node, kind) {
  let found = node;
  while (found && !keyOf(found) && found.nodeName !== kind) found = found.nextSibling;
  return found && !keyOf(found) ? found : null;
}

const HANDLERS = ["onclick", "onchange", "onsubmit"];

function update(current, wanted) {
  if (current.nodeType === Node.TEXT_NODE) {
    if (current.data !== wanted.data) current.data = wanted.data;
    return;
  }
  for (const { name } of [...current.attributes]) {
    if (!wanted.hasAttribute(name) && !(name === "open" && current.nodeName === "DETAILS"))
      current.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    // Whether details are open is up to the reader once they are on the page.
    if (name === "open" && current.nodeName === "DETAILS") continue;
    if (current.getAttribute(name) !== value) current.setAttribute(name, value);
  }
  for (const handler of HANDLERS) current[handler] = wanted[handler] ?? null;
  patch(current, wanted);
}

function keyOf(node) {
  return node.dataset?.key;
}
