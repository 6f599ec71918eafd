// What a cell shows while a turn runs, for the extension and for widgets. One ES module without imports: widgets load it
// from a Blob, where relative imports do not resolve. What a model or a tool wrote becomes text nodes; Markdown is
// rendered in the kernel, and its HTML enters the page through `safeNodes` alone.

const DEEP = 60; // levels of nesting that are followed; a hostile text could overflow the stack
const DEAF_MS = 1000; // a click that changed nothing for so long has not arrived
const HASTY_MS = 500; // nobody has read a question sooner

// All that the renderer in the kernel makes of Markdown; nothing else of an HTML text enters the page.
const TAGS = new Set("a blockquote br code em h1 h2 h3 h4 h5 h6 hr li ol p pre s span strong table tbody td th thead tr ul".split(" "));
const STYLES = new Set(["white-space: pre-wrap", "margin: 1em 2em", "text-align:left", "text-align:center", "text-align:right"]);
const CLASSES = new Set(["pnb-picture", "mathjax_process tex2jax_process"]);
const WRAP = { style: "white-space: pre-wrap" };
const MOST_DELIMITERS = 50; // each is an element or two
const NO_FORMULAS = "mathjax_ignore tex2jax_ignore";

/** The address if a click on it can only open a page or a mail, else "". */
export function safeHref(address) {
  try {
    return ["http:", "https:", "mailto:"].includes(new URL(address).protocol) ? address : "";
  } catch {
    return "";
  }
}

/** Change `items` by the patches of one message: [index, patch]. A patch with a `kind` is a whole item, which with a
 * third part goes before the one that was there; other fields replace; {keep, add} keeps so much of a text and goes on
 * with `add`. `count` are left. */
export function applyPatches(items, patches, count) {
  for (const [index, patch, isInserted] of patches) {
    if (patch.kind) {
      items.splice(index, isInserted ? 0 : 1, patch);
    } else {
      const item = { ...items[index] };
      for (const [name, value] of Object.entries(patch)) {
        item[name] = value?.keep === undefined ? value : item[name].slice(0, value.keep) + value.add;
      }
      items[index] = item;
    }
  }
  items.length = Math.min(items.length, count);
}

/** A state as it is shown where no click arrives: while nobody has answered yet, or, with a `reason`, because the turn's
 * kernel is gone. */
export function withoutControls(state, reason = "") {
  const ended = reason ? { running: false, waiting: false, status: "unknown", label: "unknown", hint: "" } : {};
  const items = state.items.map((item) => {
    if (item.panel) return { ...item, panel: { ...item.panel, ...(item.panel.running ? ended : {}) } };
    return item.question ? { ...item, question: null, state: reason ? "past" : "running" } : item;
  });
  const notices = [...state.panel.notices, ...(reason ? [reason] : [])];
  return { ...state, items, panel: { ...state.panel, stoppable: false, ...ended, notices } };
}

// The DOM

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

function setText(element, text) {
  // Only a change is written, so that a screen reader says it once and a selection stays.
  if (element.textContent !== text) element.textContent = text;
}

/** The nodes of an HTML text, made anew: elements of TAGS with their own attributes, all else as text. Here alone
 * HTML enters the page. A text is parsed in a document of its own, where nothing runs and nothing loads. */
function safeNodes(html) {
  return copies(parsed(html), 0);
}

function parsed(html) {
  return new DOMParser().parseFromString(html, "text/html").body;
}

function copies(parent, depth) {
  return [...parent.childNodes].flatMap((node) => {
    if (node.nodeType === Node.TEXT_NODE) return [node.data];
    if (node.nodeType !== Node.ELEMENT_NODE) return [];
    if (!TAGS.has(node.localName) || depth > DEEP) return [node.textContent];
    const element = make(node.localName);
    const [style, kind] = [node.getAttribute("style"), node.className];
    if (STYLES.has(style)) element.setAttribute("style", style);
    if (CLASSES.has(kind)) element.className = kind;
    if (node.localName === "ol" && node.start !== 1) element.start = node.start;
    if (node.localName === "a") addAddress(element, safeHref(node.getAttribute("href") ?? ""));
    element.append(...copies(node, depth + 1));
    return [element];
  });
}

function addAddress(link, href) {
  if (!href) return;
  Object.assign(link, { href, target: "_blank", rel: "noopener noreferrer" });
  if (link.className !== "pnb-picture") return;
  link.title = "Load this picture";
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const picture = make("img");
    Object.assign(picture, { alt: link.textContent, referrerPolicy: "no-referrer", src: href });
    link.replaceWith(picture);
  });
}

/** One message of the answer. Blocks that are complete are made once and never touched again. */
class TextView {
  constructor() {
    // JupyterLab's own classes, so that the static output that follows looks the same.
    this.element = make("div", "pnb-text jp-RenderedHTMLCommon jp-RenderedHTML");
    this.done = make("div");
    this.tail = make("div", "pnb-tail");
    this.rest = make("div", "pnb-plain");
    this.more = make("div", "pnb-muted");
    this.element.append(this.done, this.tail, this.rest, this.more);
    this.shown = { done: "", tail: "" };
  }

  update({ done = "", tail = "", rest = "", more = 0 }) {
    if (!done.startsWith(this.shown.done)) {
      this.done.replaceChildren();
      this.shown.done = "";
    }
    if (done !== this.shown.done) this.done.append(...safeNodes(done.slice(this.shown.done.length)));
    if (tail !== this.shown.tail) this.tail.replaceChildren(...safeNodes(tail));
    this.shown = { done, tail };
    setText(this.rest, rest);
    setText(this.more, more ? `… ${more.toLocaleString("en-US")} more characters are in the Turn's text.` : "");
  }
}

/** A tool call: one line with arguments and result behind a click, or the question whether it may run. */
class ToolView {
  constructor(send) {
    this.send = send;
    this.element = make("div");
  }

  update(item) {
    const asks = item.question?.digest ?? "";
    if (asks !== this.asks) this.build(item, asks);
    this.asks = asks;
    if (asks) return;
    setText(this.name, item.name);
    setText(this.line, item.line);
    setText(this.mark, { running: "…", done: "✓", failed: "✗ failed", denied: "✗ denied", past: "" }[item.state] ?? "…");
    this.mark.className = { done: "pnb-ok", failed: "pnb-bad", denied: "pnb-bad" }[item.state] ?? "pnb-muted";
    setText(this.seconds, item.seconds);
    setText(this.input, item.arguments);
    setText(this.output, item.result);
    this.output.hidden = !item.result;
  }

  build(item, asks) {
    const hadFocus = this.element.contains(document.activeElement);
    this.element.replaceChildren(asks ? this.question(item, this.asked && this.asked !== asks) : this.folded());
    this.asked = asks || this.asked; // also while the call is none that asks
    if (hadFocus) this.element.querySelector("summary, button")?.focus();
  }

  folded() {
    const details = make("details", "pnb-tool");
    const summary = make("summary");
    this.name = make("span");
    this.line = make("code");
    this.mark = make("span");
    this.seconds = make("span");
    this.input = make("pre", "pnb-box");
    this.output = make("pre", "pnb-box");
    for (const [box, label] of [[this.input, "arguments"], [this.output, "result"]]) {
      box.tabIndex = 0; // scrollable by keyboard
      box.setAttribute("aria-label", label);
    }
    summary.append(this.name, this.line, this.mark, this.seconds);
    details.append(summary, this.input, this.output);
    return details;
  }

  question(item, isChanged) {
    const { parts, counts, digest } = item.question;
    const box = make("div", "pnb-ask");
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", `${item.name} wants to run`);
    const head = make("div", "pnb-ask-head");
    const count = make("span", "pnb-muted", parts.length ? ` · ${counts}` : " · no arguments");
    head.append(make("b", "", item.name), isChanged ? " was changed, and wants to run" : " wants to run", count);
    const input = make("pre", "pnb-box");
    input.tabIndex = 0; // scrollable by keyboard, for which JupyterLab has uses of its own
    input.dataset.lmSuppressShortcuts = "true";
    input.setAttribute("aria-label", "arguments");
    const end = make("span", "pnb-end");
    input.append(...parts.map(partNode), end);
    const hint = make("div", "pnb-muted", "Read to the end to allow.");
    hint.setAttribute("role", "status");
    const name = item.name.length > 60 ? `${item.name.slice(0, 59)}…` : item.name;
    const answers = [["allow", "Allow once"], ["allow_session", `Allow ${name} for this session`], ["deny", "Deny"]];
    const buttons = answers.map(([kind, label]) => button(label, kind === "allow" ? "pnb-go" : ""));
    buttons[1].title = `Every later call of ${name} in this session runs without a question, whatever its arguments.`;
    let [isRead, isSent] = [false, false];
    const refresh = () => buttons.forEach((each, i) => (each.disabled = isSent || (answers[i][0] !== "deny" && !isRead)));
    buttons.forEach((element, i) => {
      element.addEventListener("click", () => {
        isSent = true;
        refresh();
        this.send({ kind: answers[i][0], call_id: item.id, digest });
        leave(element);
        setTimeout(() => {
          isSent = false;
          refresh();
          setText(hint, deaf("The answer"));
        }, DEAF_MS);
      });
    });
    refresh();
    // Whatever scrolls or hides it, the box, the output, the page: the mark at the end is seen or it is not.
    const watch = new IntersectionObserver((seen) => {
      if (!seen.some((entry) => entry.intersectionRatio > 0.9)) return;
      watch.disconnect();
      // A click that was meant for what stood here before is no answer to this.
      setTimeout(() => {
        isRead = true;
        refresh();
        setText(hint, "");
      }, HASTY_MS);
    }, { threshold: [0, 0.95] });
    watch.observe(end);
    box.append(head, input, ...buttons, hint);
    return box;
  }
}

/** What the user is shown of a call: text, or what stands for something that is not seen. */
function partNode([kind, text, title]) {
  if (kind === "text") return document.createTextNode(text);
  const element = make(kind === "rtl" ? "bdi" : kind === "name" ? "b" : "span", `pnb-${kind}`, text);
  if (title) element.title = title;
  return element;
}

function deaf(what) {
  return `${what} has not arrived: the kernel is busy. Interrupt the kernel (■ in the toolbar) to stop what it does.`;
}

/** Give the focus back to the cell, where the keyboard goes on with the notebook: what had it is about to go. */
function leave(element) {
  element.closest(".jp-Cell")?.focus({ preventScroll: true });
}

/** Have a screen reader say it, though what it is about may be gone from the page by then. */
function announce(text) {
  const id = "pnb-announcer";
  let region = document.getElementById(id);
  if (!region) {
    region = make("div");
    Object.assign(region, { id, role: "status" });
    region.setAttribute("aria-live", "polite");
    region.style.cssText = "position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%)";
    document.body.append(region);
  }
  // The same words again are said again.
  region.replaceChildren(text);
}

/** The session and how it is. */
const spoken = ({ facts, label }) => `${facts[0]?.[1] ?? ""}: ${label}`;

function button(label, className = "") {
  const element = make("button", `pnb-btn ${className}`, label);
  element.type = "button";
  return element;
}

/** Badge, facts, Stop and the budget's bar. */
class PanelView {
  constructor(send) {
    this.element = make("div", "pnb-panel");
    this.status = make("span", "pnb-status");
    this.status.setAttribute("role", "status");
    this.status.setAttribute("aria-live", "polite");
    this.badge = make("span", "pnb-badge");
    this.status.append(this.badge);
    this.facts = make("span", "pnb-facts");
    this.right = make("span", "pnb-right");
    this.hint = make("span", "pnb-muted");
    this.hint.setAttribute("role", "status");
    this.stop = button("■ Stop");
    this.stop.setAttribute("aria-label", "Stop this turn");
    this.right.append(this.hint, this.stop);
    this.bar = make("span", "pnb-bar");
    this.fill = make("i");
    this.bar.append(this.fill);
    this.element.append(this.status, this.facts, this.right, this.bar);
    this.stop.addEventListener("click", () => {
      send({ kind: "stop" });
      leave(this.stop);
      this.stop.disabled = true;
      setText(this.stop, "Stopping …");
      this.deaf = setTimeout(() => {
        this.stop.disabled = false;
        setText(this.stop, "■ Stop");
        setText(this.hint, deaf("The click"));
      }, DEAF_MS);
    });
  }

  update(panel) {
    this.panel = panel;
    this.since = performance.now();
    setText(this.badge, panel.label);
    this.badge.className = `pnb-badge pnb-${panel.waiting ? "waiting" : panel.status}`;
    const spans = [...this.facts.children];
    panel.facts.forEach(([before, strong, after, title, link], i) => {
      const span = spans[i] ?? this.facts.appendChild(make("span"));
      span.title = title;
      const key = [before, strong, after, link].join("\u0000");
      if (span.dataset.key === key) return;
      span.dataset.key = key;
      const middle = make(link ? "a" : "b", "", strong);
      if (link) addAddress(middle, safeHref(link));
      span.replaceChildren(before, ...(strong ? [middle] : []), after);
    });
    spans.slice(panel.facts.length).forEach((span) => span.remove());
    this.right.hidden = !panel.running || !panel.stoppable;
    if (!panel.running) {
      clearTimeout(this.deaf);
      this.stop.disabled = false;
      setText(this.stop, "■ Stop");
      setText(this.hint, "");
    }
    if (panel.hint) {
      this.right.hidden = !panel.running;
      this.stop.hidden = true;
      setText(this.hint, panel.hint);
    }
    this.bar.hidden = !panel.budget;
    if (panel.budget) {
      this.fill.style.width = `${Math.min(100, 100 * panel.budget.spent)}%`;
      this.bar.title = panel.budget.title;
      const percent = String(Math.min(100, Math.round(100 * panel.budget.spent)));
      const values = { role: "progressbar", "aria-label": panel.budget.title, "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": percent };
      for (const [name, value] of Object.entries(values)) this.bar.setAttribute(name, value);
    }
    this.tick();
  }

  tick() {
    const span = this.facts.children[this.panel.clock];
    if (!this.panel.running || !span) return;
    // The kernel says how long the turn has run, the page only counts on: their clocks may differ.
    const seconds = this.panel.elapsed + (performance.now() - this.since) / 1000;
    setText(span, `${seconds.toFixed(1)} s${this.panel.tools}`);
  }
}

/** All of one turn. */
class TurnView {
  constructor(send) {
    this.send = send;
    this.element = make("div", "pnb-turn");
    this.list = make("div");
    this.panel = new PanelView(send);
    this.notes = make("div");
    this.element.append(this.list, this.notes, this.panel.element);
    this.views = [];
  }

  show(state) {
    this.views = [];
    this.list.replaceChildren();
    this.update(state, state.items.map((item, index) => [index]));
  }

  update(state, patches) {
    for (const [index, , isInserted] of patches) {
      const item = state.items[index];
      if (!item) continue;
      let view = this.views[index];
      if (!view || view.kind !== item.kind || view.id !== item.id) {
        const fresh = this.make(item);
        Object.assign(fresh, { kind: item.kind, id: item.id });
        if (view) view.element.before(fresh.element);
        else this.list.append(fresh.element);
        if (view && !isInserted) view.element.remove();
        this.views.splice(index, isInserted ? 0 : 1, fresh);
        view = fresh;
      }
      view.update(item);
    }
    for (const gone of this.views.splice(state.items.length)) gone.element.remove();
    const last = this.views.at(-1);
    for (const view of this.views) view.element.classList.toggle("pnb-writing", view === last && view.kind === "text" && state.panel.running);
    const notes = [...state.panel.notices, ...state.panel.threads];
    while (this.notes.children.length > notes.length) this.notes.lastChild.remove();
    notes.forEach((note, i) => setText(this.notes.children[i] ?? this.notes.appendChild(make("div", "pnb-muted")), note));
    this.panel.update(state.panel);
  }

  make(item) {
    return item.kind === "tool" ? new ToolView(this.send) : new TextView();
  }

  tick() {
    this.panel.tick();
  }
}

/** The columns of a state whose turns are side by side, each a turn's state; none of any other. A column's items begin
 * with one that has its name and panel. */
function columnsOf({ items = [], panel }) {
  return items
    .filter((item) => item.kind === "column")
    .map((head) => ({
      head,
      name: head.name,
      items: items.filter((item) => item.column === head.column && item !== head),
      panel: { ...head.panel, running: head.panel.running && panel.running },
    }));
}

/** Turns side by side, and the panel of all. */
class ColumnsView {
  constructor(send) {
    this.send = send;
    this.element = make("div");
    this.row = make("div", "pnb-columns");
    this.notes = make("div", "pnb-muted");
    this.panel = new PanelView(send);
    this.element.append(this.row, this.notes, this.panel.element);
  }

  show(state) {
    this.row.replaceChildren();
    this.columns = [];
    this.update(state);
  }

  update(state) {
    columnsOf(state).forEach((column, place) => {
      const { view, name, last } = (this.columns[place] ??= this.add());
      const patches = column.items.map((item, i) => [i]).filter(([i]) => column.items[i] !== last.items[i]);
      // The clock of a panel goes on from when it came.
      const isChanged = column.head !== last.head || column.panel.running !== last.panel.running;
      if (patches.length || isChanged || column.items.length < last.items.length) view.update(column, patches);
      setText(name, column.name);
      this.columns[place].last = column;
    });
    setText(this.notes, state.panel.notices.join("\n"));
    this.panel.update(state.panel);
  }

  add() {
    const [element, name, view] = [make("section", "pnb-column"), make("b"), new TurnView(this.send)];
    element.append(name, view.element);
    this.row.append(element);
    return { name, view, last: { items: [] } };
  }

  tick() {
    for (const { view } of this.columns) view.tick();
    this.panel.tick();
  }
}

/** A panel or a badge alone. */
class PanelOnly {
  constructor(send, badge) {
    this.panel = new PanelView(send);
    this.element = badge ? this.panel.status : this.panel.element;
    this.element.classList.add("pnb-alone");
  }

  show(state) {
    this.panel.update(state.panel);
  }

  update(state) {
    this.show(state);
  }

  tick() {
    this.panel.tick();
  }
}

/** What this page knows of one turn, chat or panel, for all its views. Messages are numbered: after a gap the whole state is
 * asked for. `state` is null until there is one. */
export class Store {
  constructor(send, state = null) {
    this.send = send;
    this.state = state;
    this.views = new Set();
    this.asked = false;
    this.change = (state) => state; // what is shown of it
    this.onEnd = () => {};
  }

  take(message) {
    if (message.state) {
      this.asked = false;
      this.set(message.state);
    } else if (message.reply) {
      for (const view of this.views) view.reply?.(message.reply);
    } else if (message.number === this.state?.number + 1) {
      this.state.number = message.number;
      const patches = message.items ?? [];
      applyPatches(this.state.items, patches, message.count ?? 0);
      if (message.panel) this.state.panel = { ...this.state.panel, ...message.panel };
      for (const view of this.views) view.update(this.change(this.state), patches);
    } else if (this.state && message.number > this.state.number) {
      this.ask();
    }
  }

  /** Show this from now on. */
  set(state) {
    this.state = { kind: "turn", ...this.state, ...state };
    this.show();
  }

  show() {
    for (const view of this.views) view.show(this.change(this.state));
  }

  ask() {
    if (this.asked) return;
    this.asked = true;
    this.send({ kind: "ready" });
  }

  /** The turn is over. What stays of it takes the place of the views, with what is in focus there. */
  end(label) {
    if (!this.state?.panel.running) return;
    this.state.panel = { ...this.state.panel, running: false, waiting: false, status: "idle", label };
    for (const view of this.views) view.update(this.change(this.state), []);
    announce(spoken(this.state.panel));
    this.onEnd();
  }

  /** Show it in the element; returns what ends that. */
  mount(element) {
    const kind = columnsOf(this.state).length ? "columns" : this.state.kind;
    const view = VIEWS[kind]((message) => this.send(message));
    const root = make("div", "pnb");
    root.append(view.element);
    element.append(root);
    view.show(this.change(this.state));
    this.views.add(view);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const timer = setInterval(() => view.tick(), calm ? 1000 : 100);
    return () => {
      clearInterval(timer);
      this.views.delete(view);
      if (root.contains(document.activeElement)) leave(root);
    };
  }
}

// What a saved notebook holds of a turn that runs, for whoever opens it: as the kernel does it when the turn is over, and
// from what this page has.

/** A text that no page takes for a formula, a copy for screen readers included; as `formulas.escape` has it. */
function inert(text) {
  if (text.split(/[$\\]/).length > MOST_DELIMITERS) return [made("span", { "aria-hidden": "true" }, text)];
  return text.split(/([$\\])/).filter(Boolean).flatMap((part) => {
    if (part === "$") return [made("span", { "aria-hidden": "true" }, part), made("span", { role: "img", "aria-label": part })];
    return [part === "\\" ? make("span", "", part) : part];
  });
}

function made(tag, attributes, ...content) {
  const element = make(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...content.flatMap((each) => (typeof each === "string" && tag !== "span" ? inert(each) : [each])));
  return element;
}

/** HTML and text of the state. */
export function staticOf(state) {
  const [root, texts] = staticNode(state);
  return { "text/html": new XMLSerializer().serializeToString(root), "text/plain": texts.join("\n\n") };
}

function staticNode(state) {
  const [root, texts, columns] = [make("div"), [], columnsOf(state)];
  if (columns.length) {
    const row = root.appendChild(made("div", { style: "display: flex; flex-wrap: wrap; gap: 8px 24px" }));
    for (const column of columns) {
      const [node, inner] = staticNode(column);
      node.setAttribute("style", "flex: 1 1 240px; min-width: 0");
      node.prepend(made("div", { class: NO_FORMULAS }, column.name));
      row.append(node);
      texts.push(`── ${column.name} ──`, ...inner);
    }
  }
  for (const item of columns.length ? [] : state.items) {
    if (item.kind === "text") {
      const part = make("div", `pnb-answer ${NO_FORMULAS}`);
      part.append(...safeNodes((item.done ?? "") + (item.tail ?? "")), ...inert(item.rest ?? ""));
      texts.push(part.textContent);
      root.append(part);
    } else {
      const line = `${item.name} ${item.line}`;
      const boxes = [item.arguments, item.result].filter(Boolean).map((text) => made("pre", WRAP, text));
      const part = made("details", { class: NO_FORMULAS }, made("summary", {}, line), ...boxes);
      texts.push(`▸ ${line}`);
      root.append(part);
    }
  }
  const { label, facts, notices, threads } = state.panel;
  const lines = [...notices, ...threads, `[${label}] ${facts.map((fact) => fact.slice(0, 3).join("")).join("  ")}`];
  for (const line of lines) root.append(made("div", { class: NO_FORMULAS }, line));
  return [root, [...texts, lines.join("\n")]];
}

/** Whether the answer in the state is longer than the one in what stays. */
export function isLonger(state, still) {
  const [shown, kept] = [staticOf(state), still].map((data) => {
    const answers = parsed(data["text/html"]).querySelectorAll(".pnb-answer");
    return [...answers].reduce((length, each) => length + each.textContent.trim().length, 0);
  });
  return shown > kept;
}

/** What shows a state, by its kind. */
const VIEWS = {
  turn: (send) => new TurnView(send),
  columns: (send) => new ColumnsView(send),
  panel: (send) => new PanelOnly(send, false),
  badge: (send) => new PanelOnly(send, true),
};

/** A store of a widget's model. It tells the kernel that this page shows the turn, and when the static output has taken
 * the place of the last view: once that is so in every page, the model can go. A page that was loaded again keeps it, since
 * no static output can reach its cell, and one that never showed it has no say. */
class WidgetStore extends Store {
  constructor(model, early) {
    super((message) => model.send(message), structuredClone(model.get("state")));
    this.isHere = false; // the kernel knows that this page shows the turn
    model.on("msg:custom", (message) => this.take(message));
    for (const message of early) this.take(message);
  }

  take(message) {
    const wasRunning = this.state.panel.running;
    super.take(message);
    if (this.state.kind === "turn" && wasRunning && !this.state.panel.running) announce(spoken(this.state.panel));
    this.report();
  }

  mount(element) {
    const end = super.mount(element);
    this.report();
    return () => {
      end();
      this.report();
    };
  }

  report() {
    if (this.state.kind !== "turn") return;
    if (!this.isHere && this.views.size > 0) {
      this.isHere = true;
      this.send({ kind: "here" });
    } else if (this.isHere && this.state.fresh && !this.state.panel.running && this.views.size === 0) {
      this.isHere = false;
      this.send({ kind: "gone" });
    }
  }
}

export default () => {
  let store;
  return {
    initialize({ model, early = [] }) {
      store = new WidgetStore(model, early);
    },
    render({ model, el }) {
      store ??= new WidgetStore(model, []);
      return store.mount(el);
    },
  };
};
