// tree.js draws one stream: the parents, below them the node, and below it the children, with the nodes below
// them as far as they have told.
//
// What is drawn stays from one snapshot to the next, so that a selected node stays selected. All texts
// become text nodes or attributes that hold no script.

const ns = "http://www.w3.org/2000/svg";
const rowHeight = 44, top = 26, step = 34, deepest = 8, mostRows = 500;

// Others have a say in these texts. What would not be seen, or would turn the line, is shown as �.
export function clean(text, most = 120) {
  const seen = String(text ?? "").slice(0, 4 * most).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "\uFFFD");
  return seen.length > most ? seen.slice(0, most) + "…" : seen;
}

// span returns a duration in nanoseconds as a text.
export function span(ns) {
  const ms = (ns || 0) / 1e6;
  if (ms < 10) return ms.toFixed(1) + " ms";
  if (ms < 1000) return ms.toFixed(0) + " ms";
  if (ms < 60e3) return (ms / 1000).toFixed(1) + " s";
  const s = Math.round(ms / 1000);
  return s < 3600 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
}

// size returns a number of bytes as a text.
export function size(bytes) {
  let n = bytes || 0, unit = 0;
  while (n >= 1024 && unit < 4) { n /= 1024; unit++; }
  return n.toFixed(unit ? 1 : 0) + " " + ["B", "KiB", "MiB", "GiB", "TiB"][unit];
}

// looks returns how a neighbour is drawn. A colour never stands alone: figures says the same in words.
function looks(n, marks) {
  if (n.state === "lost" || n.state === "broken" || marks.has("silent")) return "lost";
  if (n.state === "suspect" || n.state === "connecting" || n.state === "closing" || n.cut) return "suspect";
  return marks.has("slow") || marks.has("waits") ? "slow" : "open";
}

// figures is the line below the name of a neighbour.
function figures(n, marks) {
  const words = [clean(n.state, 40)];
  if (n.cut) words.push("cut off");
  if (marks.has("silent")) words.push(`silent for ${span(n.heard_ns)}`);
  if (n.round_trip_ns) words.push(`${marks.has("slow") ? "slow: " : ""}${span(n.round_trip_ns)}`);
  if (n.waiting.packets) words.push(`${n.waiting.packets} waiting, ${span(n.waiting.oldest_ns)}`);
  return words.join(" · ");
}

function element(name, parent, attributes = {}) {
  const e = document.createElementNS(ns, name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  parent.append(e);
  return e;
}

// Tree draws into an element. select is called with the key of a node that the reader points at or
// selects.
export class Tree {
  constructor(into, select) {
    this.svg = element("svg", into, { role: "group", "aria-label": "tree of the stream" });
    this.links = element("g", this.svg, { "aria-hidden": "true" });
    this.rows = new Map();
    this.select = select;
  }

  // draw shows the rows, each with a key, depth, side (parent, self or child), name, small, look and rate. The
  // row of the node itself stands between its parents and its children. above is the key of the row that a
  // row hangs from.
  draw(rows) {
    const at = new Map(rows.map((r, i) => [r.key, i]));
    const wanted = new Set(rows.map((r) => r.key));
    for (const [key, row] of this.rows) {
      if (!wanted.has(key)) { row.g.remove(); row.link.remove(); this.rows.delete(key); }
    }
    rows.forEach((r, i) => this.place(r, i, rows[at.get(r.above)], at.get(r.above)));
    this.svg.setAttribute("height", rows.length * rowHeight + 12);
  }

  place(r, i, above, j) {
    const row = this.rows.get(r.key) ?? this.add(r.key);
    const left = (of) => 18 + step * Math.min(of.depth, deepest);
    const x = left(r), y = i * rowHeight + top;
    row.g.setAttribute("class", r.look);
    row.g.setAttribute("transform", `translate(0 ${y})`);
    row.g.setAttribute("aria-label", `${r.name}, ${r.side}, ${r.small}`);
    row.hit.setAttribute("x", x - 14);
    row.circle.setAttribute("cx", x);
    row.name.setAttribute("x", x + 16);
    row.small.setAttribute("x", x + 16);
    row.name.textContent = r.name;
    row.small.textContent = r.small;
    row.link.setAttribute("class", r.look);
    if (above) {
      const from = { x: left(above), y: j * rowHeight + top };
      row.path.setAttribute("d", r.side === "parent"
        ? `M${x} ${y} C${x} ${from.y} ${x} ${from.y} ${from.x} ${from.y}`
        : `M${from.x} ${from.y} C${from.x} ${y} ${from.x} ${y} ${x} ${y}`);
      row.path.setAttribute("stroke-width", Math.min(1.5 + 1.3 * Math.log2(1 + r.rate), 12).toFixed(1));
    }
  }

  add(key) {
    const g = element("g", this.svg, { tabindex: "0", role: "button" });
    const link = element("g", this.links);
    const row = {
      g, link, path: element("path", link),
      hit: element("rect", g, { class: "hit", y: "-20", width: "100%", height: "40", rx: "6" }),
      circle: element("circle", g, { r: "8" }),
      name: element("text", g, { y: "-2" }),
      small: element("text", g, { y: "14", class: "small" }),
    };
    for (const event of ["focus", "click"]) {
      g.addEventListener(event, () => { this.select(key); g.scrollIntoView({ block: "nearest" }); });
    }
    // A row that comes to lie below a pointer at rest has not been pointed at.
    g.addEventListener("pointermove", (e) => { if (e.movementX || e.movementY) this.select(key); });
    this.rows.set(key, row);
    return row;
  }
}

// walk calls a function for each neighbour of a stream, and of the streams of the nodes below, with a key, the key of
// the row above, its depth, its side, and why its node has told nothing.
export function walk(stream, below, each) {
  let left = mostRows;
  const inner = (key, children, branches, depth) => {
    const told = new Map((branches ?? []).map((b) => [b.address, b]));
    for (const n of children ?? []) {
      if (left-- <= 0) return;
      const own = `${key} ${n.address.slice(0, 300)}`, b = told.get(n.address);
      each(n, own, key, depth, "child", b?.missing ?? "");
      if (b?.stream) inner(own, b.stream.children, b.below, depth + 1);
    }
  };
  for (const n of stream.parents ?? []) each(n, "parent " + n.address, "self", 0, "parent", "");
  // An orchestrator stands above its root.
  if (stream.role === "orchestrator") {
    for (const b of below ?? []) if (b.stream) inner("parent " + b.address, b.stream.children, b.below, 1);
  }
  each(null, "self", null, 1, "self", "");
  inner("self", stream.children, below, 2);
}

// rowsOf returns the rows of a stream. rate is a function of a key and a neighbour, and marks one of an
// address.
export function rowsOf(stream, below, rate, marks) {
  const q = stream.queue, rows = [];
  walk(stream, below, (n, key, above, depth, side, missing) => {
    const row = { key, above, depth, side, of: n };
    if (n) {
      const mark = marks(n.address);
      Object.assign(row, {
        name: clean(n.address), look: looks(n, mark), rate: rate(key, n),
        small: figures(n, mark) + (missing ? " · " + clean(missing, 60) : ""),
      });
    } else {
      Object.assign(row, {
        name: clean(stream.address), rate: 0, look: "self",
        small: `this node, ${stream.role}` + (stream.handler ? ` · handler ${stream.handler}` : "") +
          (q.packets ? ` · ${q.packets} to receive, ${span(q.oldest_ns)}` : "") + (stream.cut ? " · cut off" : ""),
      });
    }
    rows.push(row);
  });
  return rows;
}
