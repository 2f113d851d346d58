// Elements, numbers, colours. Text reaches the page through text nodes alone, so nothing in a run can become markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

function number(x, digits = 3) {
  if (x === null || x === undefined) return "";
  if (Number.isInteger(x) && Math.abs(x) < 1e9) return String(x);
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return x.toExponential(1);
  return x.toFixed(size >= 100 ? 1 : digits);
}

// An environment that is a file, without its folders.
const brief = (name) => name.split("/").pop();

const signed = (x) => (x > 0 ? "+" : "") + number(x);

// A background that says how large a value is: orange below zero, blue above.
function tint(value, scale) {
  if (value === null || value === undefined || !scale) return "";
  const share = Math.min(1, Math.abs(value) / scale);
  return share < 0.02 ? "" : `rgb(${value > 0 ? "var(--up)" : "var(--down)"} / ${(0.08 + 0.52 * share).toFixed(2)})`;
}

function clear(node, ...children) {
  node.replaceChildren();
  return fill(node, null, children);
}

// A list of which only the rows in view are there. `row(i)` makes one; all have the same height.
class Rows {
  constructor(height, row) {
    this.height = height;
    this.row = row;
    this.count = 0;
    this.inner = h("div", { class: "rows" });
    this.node = h("div", { class: "scroll", tabindex: "0", onscroll: () => this.draw() }, this.inner);
    new ResizeObserver(() => this.draw()).observe(this.node);
  }
  show(count) {
    this.count = count;
    this.inner.style.height = `${count * this.height}px`;
    this.drawn = null;
    this.draw();
  }
  draw() {
    const first = Math.max(0, Math.floor(this.node.scrollTop / this.height) - 6);
    const last = Math.min(this.count, Math.ceil((this.node.scrollTop + this.node.clientHeight) / this.height) + 6);
    if (this.drawn && this.drawn[0] === first && this.drawn[1] === last) return;
    this.drawn = [first, last];
    const made = [];
    for (let i = first; i < last; i++) {
      const row = this.row(i);
      row.style.top = `${i * this.height}px`;
      made.push(row);
    }
    this.inner.replaceChildren(...made);
  }
  redraw() {
    this.drawn = null;
    this.draw();
  }
  reveal(i) {
    const top = i * this.height;
    const { scrollTop, clientHeight } = this.node;
    if (top < scrollTop + this.height) this.node.scrollTop = top - this.height;
    else if (top + 2 * this.height > scrollTop + clientHeight) this.node.scrollTop = top - clientHeight + 3 * this.height;
    this.redraw();
  }
}
