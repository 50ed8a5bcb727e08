// page.js asks for the snapshot every second while somebody can see the page, and shows it.

import { Tree, rowsOf, walk, clean, span, size } from "./tree.js";

const every = 1000, mostStreams = 200, drawn = 3;
const $ = (id) => document.getElementById(id);
const views = new Map(); // of the streams, by key
let before = null;       // the counters of the last snapshot
let selected = null;     // what the panel shows: { view, key }
let timer = 0, asking = false;

function make(name, parent, text = "", look = "") {
  const e = document.createElement(name);
  e.textContent = text;
  if (look) e.className = look;
  parent.append(e);
  return e;
}

// facts fills a list of names and values.
function facts(list, pairs) {
  list.replaceChildren();
  for (const [name, value] of pairs) {
    const div = make("div", list);
    make("dt", div, name);
    make("dd", div, clean(value, 400));
  }
}

function showNode(snap) {
  document.title = clean(snap.address, 60);
  $("address").textContent = clean(snap.address);
  const m = snap.memory;
  facts($("facts"), [
    ["streams", snap.streams.length + (snap.more_streams || 0)],
    ["calls running", (snap.calls ?? []).length + (snap.more_calls || 0)],
    ["memory", m.limit_bytes ? `${size(m.used_bytes)} of ${size(m.limit_bytes)}` : size(m.used_bytes)],
    ["peers", snap.peers],
    ["connections", `${snap.accepted} in, ${snap.dialled} out`],
  ]);
}

function showFindings(found) {
  const list = $("findings");
  list.replaceChildren();
  if (!found.length) make("li", list, "Nothing: all neighbours answer, and nothing waits.", "well");
  for (const f of found.slice(0, 50)) {
    const li = make("li", list, "", f.dead ? "dead" : "");
    make("b", li, clean(f.address));
    make("span", li, f.notes.map((n) => n.text + (n.streams > 1 ? ` (in ${n.streams} streams)` : "")).join("; "));
  }
  if (found.length > 50) make("li", list, `and ${found.length - 50} others`);
}

// countersOf returns what the neighbours have sent and received, for the rates of the next snapshot.
function countersOf(snap) {
  const counts = new Map();
  for (const st of snap.streams) {
    walk(st, belowOf(snap, st), (n, key) => { if (n) counts.set(`${keyOf(st)} ${key}`, n); });
  }
  return { at: Date.parse(snap.at), counts };
}

// belowOf returns what the nodes below have told of a stream.
const belowOf = (snap, st) => (snap.trees ?? []).find((t) => t.stream === st.stream && t.role === st.role)?.below;

const keyOf = (st) => `${st.stream} ${st.role}`;

// rates returns the packets and bytes per second of a neighbour. Its counters begin anew with each link.
function rates(key, n, at) {
  const old = before?.counts.get(key), seconds = (at - before?.at) / 1000;
  if (!old || !(seconds > 0)) return null;
  const per = (now, then) => Math.max(now - then, 0) / seconds;
  return {
    sent: per(n.sent.packets, old.sent.packets), sentBytes: per(n.sent.bytes, old.sent.bytes),
    received: per(n.received.packets, old.received.packets), receivedBytes: per(n.received.bytes, old.received.bytes),
  };
}

class View {
  constructor(index) {
    this.box = make("details", $("streams"));
    this.box.open = index < drawn;
    const summary = make("summary", this.box);
    this.title = make("b", summary);
    this.about = make("small", summary);
    this.mark = make("span", summary, "", "mark");
    this.tree = new Tree(this.box, (key) => { selected = { view: this, key }; showSelected(); });
    this.more = make("p", this.box);
    this.failures = make("ul", this.box, "", "failures");
    this.box.addEventListener("toggle", () => this.draw());
  }

  // show takes what is new, and draws it if it can be seen.
  show(st, below, at, marks) {
    this.numbers = new Map();
    const rate = (key, n) => {
      const r = rates(`${keyOf(st)} ${key}`, n, at);
      this.numbers.set(key, r);
      return r ? r.sent + r.received : 0;
    };
    this.stream = st;
    this.rows = rowsOf(st, below, rate, marks);
    this.title.textContent = clean(st.procedure) + (st.protocol ? ` [${clean(st.protocol, 40)}]` : "");
    this.about.textContent = `${st.role} · ${clean(st.stream, 40)} · ${span(st.age_ns)}`;
    const bad = this.rows.filter((r) => r.look === "lost").length, slow = this.rows.filter((r) => r.look === "slow").length;
    this.mark.textContent = [bad && `${bad} away`, slow && `${slow} slow`].filter(Boolean).join(", ");
    this.draw();
  }

  draw() {
    if (!this.box.open || !this.rows) return;
    this.tree.draw(this.rows);
    const more = (this.stream.more_parents || 0) + (this.stream.more_children || 0);
    this.more.hidden = !more;
    this.more.textContent = more ? `and ${more} other neighbours` : "";
    this.failures.replaceChildren();
    for (const f of this.stream.failures ?? []) {
      make("li", this.failures, `${span(f.ago_ns)} ago: ${clean(f.reason, 40)} at ${clean(f.destination)}, says ${clean(f.hop)}${f.heard_from ? `, heard from ${clean(f.heard_from)}` : ""}: ${clean(f.cause, 300)}`);
    }
    for (const l of this.stream.losses ?? []) {
      make("li", this.failures, `${span(l.ago_ns)} ago: ${clean(l.node)} was lost, ${l.noticed ? "noticed here" : `heard from ${clean(l.heard_from)}`}: ${clean(l.cause, 300)}`);
    }
  }
}

function showStreams(snap) {
  const at = Date.parse(snap.at), marks = new Map();
  for (const f of snap.stands_out) marks.set(f.address, new Set(f.notes.map((n) => n.kind)));
  const none = new Set(), shown = snap.streams.slice(0, mostStreams), keys = new Set(shown.map(keyOf));
  for (const [key, view] of views) {
    if (!keys.has(key)) { view.box.remove(); views.delete(key); }
  }
  shown.forEach((st, i) => {
    const key = keyOf(st);
    if (!views.has(key)) views.set(key, new View(i));
    views.get(key).show(st, belowOf(snap, st), at, (addr) => marks.get(addr) ?? none);
  });
  const more = snap.streams.length - shown.length + (snap.more_streams || 0);
  $("more").textContent = snap.streams.length ? `and ${more} other streams` : "This node takes part in no stream.";
  $("more").hidden = snap.streams.length > 0 && !more;
}

// showSelected fills the panel with the numbers of the node that is pointed at or selected.
function showSelected() {
  const row = selected?.view.box.isConnected && selected.view.rows.find((r) => r.key === selected.key);
  $("detail").hidden = !row;
  if (!row) return;
  const st = selected.view.stream, n = row.of, r = selected.view.numbers.get(row.key);
  $("name").textContent = row.name;
  const flow = (p, b) => (r ? `${p.toFixed(1)} packets/s, ${size(b)}/s` : "not known yet");
  facts($("numbers"), n ? [
    ["part", row.side], ["state", clean(n.state, 40) + (n.cut ? ", cut off" : "")], ["link", n.duplex ? "duplex" : "unicast"],
    ["round trip", n.round_trip_ns ? span(n.round_trip_ns) : "not known"],
    ["heard", n.duplex ? span(n.heard_ns) + " ago" : "not known"],
    ["waiting", `${n.waiting.packets} packets, ${size(n.waiting.bytes)}`], ["oldest", span(n.waiting.oldest_ns)],
    ["sending", flow(r?.sent, r?.sentBytes)], ["receiving", flow(r?.received, r?.receivedBytes)],
    ["sent", `${n.sent.packets} packets, ${size(n.sent.bytes)}`],
    ["received", `${n.received.packets} packets, ${size(n.received.bytes)}`],
  ] : [
    ["part", st.role], ["handler", st.handler ? `${st.handler}, ${span(st.handler_since_ns)}` : "none"],
    ["age", span(st.age_ns)], ["to receive", `${st.queue.packets} packets, ${size(st.queue.bytes)}`],
    ["oldest", span(st.queue.oldest_ns)], ...Object.entries(st.outcomes),
  ]);
}

// ask shows the next snapshot. It asks again a second after the answer, so a slow node is not flooded.
async function ask() {
  if (asking || document.hidden) return;
  asking = true;
  try {
    const answer = await fetch("snapshot.json", { cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const snap = await answer.json();
    snap.streams ??= [];
    showNode(snap);
    showFindings(snap.stands_out);
    showStreams(snap);
    before = countersOf(snap);
    showSelected();
    $("live").textContent = "live, " + new Date(snap.at).toLocaleTimeString();
    $("live").className = "";
  } catch (err) {
    $("live").textContent = `The node does not answer (${clean(err.message)}). What you see is old.`;
    $("live").className = "off";
  }
  asking = false;
  clearTimeout(timer);
  timer = setTimeout(ask, every);
}

$("close").addEventListener("click", () => { selected = null; showSelected(); });
document.addEventListener("keydown", (e) => { if (e.key === "Escape") { selected = null; showSelected(); } });
document.addEventListener("visibilitychange", ask);
ask();
