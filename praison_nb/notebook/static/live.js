// What a cell shows while a turn runs. One ES module without imports: hosts load it from a Blob, where
// relative imports do not resolve. Whatever a model or a tool wrote becomes text nodes, never markup.

const PLAIN = 20000; // characters of one Markdown block beyond which formatting it is not worth its time
const DEEP = 12; // levels of nesting that are followed; a hostile text could overflow the stack
const DEAF_MS = 1000; // a click that changed nothing for so long has not arrived
const HASTY_MS = 500; // nobody has read a question sooner

const BLANK = /^\s*$/;
const FENCE = /^(\s*)(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*)$/;
const RULE = /^ {0,3}([-*_])([ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])([ \t]+|$)/;
const DIVIDER = /^[ \t]*\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

/** The offset in `text`, from `from` on, before which all Markdown blocks are complete: more text cannot
 * change them. */
export function sealed(text, from = 0) {
  let end = from;
  let block = null; // "list" or "other" while inside a block
  let fence = null;
  let blank = false;
  for (let at = from; at < text.length; ) {
    const newline = text.indexOf("\n", at);
    const whole = newline >= 0;
    const next = whole ? newline + 1 : text.length;
    const line = text.slice(at, whole ? newline : text.length);
    if (fence) {
      if (whole && closes(line, fence)) {
        fence = null;
        if (block !== "list") [end, block] = [next, null];
      }
    } else if (BLANK.test(line)) {
      blank = true;
    } else {
      // Of a line that has only begun, a first character that can open a list decides nothing yet.
      const inList = whole ? /^\s/.test(line) || ITEM.test(line) : /^[\s\d*+-]/.test(line);
      const opened = FENCE.exec(line);
      if (block && ((blank && !(block === "list" && inList)) || (whole && opened && !inList))) {
        [end, block] = [at, null];
      }
      blank = false;
      if (!whole) break;
      block ??= ITEM.test(line) ? "list" : "other";
      if (opened) {
        if (block !== "list" && end < at) end = at;
        fence = opened[2];
      } else if (block === "other" && HEADING.test(line)) {
        [end, block] = [next, null];
      }
    }
    at = next;
  }
  return end;
}

function closes(line, fence) {
  const mark = line.trim();
  return mark.length >= fence.length && mark === fence[0].repeat(mark.length);
}

/** Markdown as a tree of blocks: {type: p, heading, code, list, quote, table, rule}. */
export function parseBlocks(text, depth = 0) {
  const lines = text.split("\n");
  const blocks = [];
  for (let i = 0; i < lines.length; ) {
    const line = lines[i];
    let match;
    if (BLANK.test(line)) {
      i += 1;
    } else if ((match = FENCE.exec(line)) && match[1].length < 4) {
      const body = [];
      for (i += 1; i < lines.length && !closes(lines[i], match[2]); i += 1) {
        body.push(lines[i].startsWith(match[1]) ? lines[i].slice(match[1].length) : lines[i].trimStart());
      }
      i += 1;
      blocks.push({ type: "code", lang: match[3].trim().split(/\s/)[0], text: body.join("\n") });
    } else if ((match = HEADING.exec(line))) {
      blocks.push({ type: "heading", level: match[1].length, text: match[2].replace(/[ \t]#+[ \t]*$/, "") });
      i += 1;
    } else if (RULE.test(line)) {
      blocks.push({ type: "rule" });
      i += 1;
    } else if (QUOTE.test(line) && depth < DEEP) {
      const body = [];
      for (; i < lines.length && QUOTE.test(lines[i]); i += 1) body.push(lines[i].replace(QUOTE, ""));
      blocks.push({ type: "quote", blocks: parseBlocks(body.join("\n"), depth + 1) });
    } else if (ITEM.test(line) && depth < DEEP) {
      i = parseList(lines, i, blocks, depth);
    } else if (line.includes("|") && i + 1 < lines.length && isDivider(lines[i + 1])) {
      const align = cells(lines[i + 1]).map(alignment);
      const head = cells(line);
      const rows = [];
      for (i += 2; i < lines.length && lines[i].includes("|"); i += 1) rows.push(cells(lines[i]));
      blocks.push({ type: "table", head, rows, align });
    } else {
      const body = [line];
      for (i += 1; i < lines.length && !interrupts(lines[i]); i += 1) body.push(lines[i]);
      blocks.push({ type: "p", text: body.join("\n").trim() });
    }
  }
  return blocks;
}

function interrupts(line) {
  return BLANK.test(line) || FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line);
}

function isDivider(line) {
  return line.includes("|") && DIVIDER.test(line);
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function alignment(cell) {
  if (!cell.endsWith(":")) return "";
  return cell.startsWith(":") ? "center" : "right";
}

function parseList(lines, start, blocks, depth) {
  const first = ITEM.exec(lines[start]);
  const ordered = /\d/.test(first[2]);
  const list = { type: "list", ordered, start: ordered ? parseInt(first[2], 10) : 1, items: [] };
  let i = start;
  while (i < lines.length) {
    const match = ITEM.exec(lines[i]);
    if (!match || /\d/.test(match[2]) !== ordered || RULE.test(lines[i])) break;
    const width = match[0].length;
    const body = [lines[i].slice(width)];
    for (i += 1; i < lines.length; i += 1) {
      const line = lines[i];
      const indent = line.length - line.trimStart().length;
      if (BLANK.test(line)) {
        const next = lines[i + 1];
        if (next === undefined || BLANK.test(next) || !(/^\s/.test(next) || ITEM.test(next))) break;
        body.push("");
      } else if (indent >= Math.min(width, 2)) {
        body.push(line.slice(Math.min(indent, width)));
      } else if (interrupts(line) || body.at(-1) === "") {
        break;
      } else {
        body.push(line);
      }
    }
    list.items.push(parseBlocks(body.join("\n"), depth + 1));
    while (i < lines.length && BLANK.test(lines[i]) && ITEM.test(lines[i + 1] ?? "")) i += 1;
  }
  blocks.push(list);
  return i;
}

const LINK = /!?\[([^[\]]*)\]\([ \t]*<?([^\s<>()]*(?:\([^\s()]*\)[^\s<>()]*)*)>?(?:[ \t]+"[^"]*")?[ \t]*\)/y;
const ADDRESS = /https?:\/\/[^\s<>"'`*]*[^\s<>"'`*.,;:!?)\]]/y;
const MARKS = ["**", "__", "~~", "*", "_"];
const TAGS = { "**": "strong", __: "strong", "~~": "del", "*": "em", _: "em" };

/** One block's text as a list of strings and {type: code, link, break, strong, em, del}. A picture is a
 * link: showing it would tell its server what the address says. */
export function parseInline(text, depth = 0) {
  const nodes = [];
  const hopeless = new Set();
  let plain = "";
  const put = (node) => {
    if (plain) nodes.push(plain);
    plain = "";
    nodes.push(node);
  };
  for (let i = 0; i < text.length; ) {
    const c = text[i];
    if (c === "\\" && i + 1 < text.length && /[!-/:-@[-`{-~\n]/.test(text[i + 1])) {
      if (text[i + 1] === "\n") put({ type: "break" });
      else plain += text[i + 1];
      i += 2;
    } else if (c === "`") {
      const run = /`+/y;
      run.lastIndex = i;
      const mark = run.exec(text)[0];
      const close = hopeless.has(mark) ? -1 : findRun(text, mark, i + mark.length);
      if (close < 0) {
        hopeless.add(mark);
        plain += mark;
        i += mark.length;
      } else {
        const inner = text.slice(i + mark.length, close).replaceAll("\n", " ");
        put({ type: "code", text: /^ .*[^ ].* $/.test(inner) ? inner.slice(1, -1) : inner });
        i = close + mark.length;
      }
    } else if (c === "[" || (c === "!" && text[i + 1] === "[")) {
      LINK.lastIndex = i;
      const match = LINK.exec(text);
      if (match) {
        put({ type: "link", href: safeHref(match[2]), nodes: depth < DEEP ? parseInline(match[1], depth + 1) : [match[1]] });
        i += match[0].length;
      } else {
        plain += c;
        i += 1;
      }
    } else if (c === "h" && !/\w$/.test(plain)) {
      ADDRESS.lastIndex = i;
      const match = ADDRESS.exec(text);
      if (match) put({ type: "link", href: safeHref(match[0]), nodes: [match[0]] });
      else plain += c;
      i += match ? match[0].length : 1;
    } else if (c === "*" || c === "_" || c === "~") {
      const mark = MARKS.find((m) => text.startsWith(m, i));
      const close = mark && depth < DEEP && !hopeless.has(mark) ? closing(text, mark, i, plain) : -1;
      if (close < 0) {
        // Nothing closes it from here on, so nothing closes the next one of its kind either.
        if (close === -1 && mark) hopeless.add(mark);
        plain += mark ?? c;
        i += (mark ?? c).length;
      } else {
        put({ type: TAGS[mark], nodes: parseInline(text.slice(i + mark.length, close), depth + 1) });
        i = close + mark.length;
      }
    } else if (c === "\n") {
      if (plain.endsWith("  ")) put({ type: "break" });
      else plain += "\n";
      i += 1;
    } else {
      plain += c;
      i += 1;
    }
  }
  if (plain) nodes.push(plain);
  return nodes;
}

function findRun(text, mark, from) {
  for (let at = text.indexOf(mark, from); at >= 0; ) {
    let end = at + mark.length;
    while (text[end] === "`") end += 1;
    if (end - at === mark.length) return at;
    at = text.indexOf(mark, end);
  }
  return -1;
}

/** Where the emphasis that opens at `i` closes; -1 when nothing does, -2 when `i` opens none. */
function closing(text, mark, i, before) {
  const from = i + mark.length;
  if (from >= text.length || /\s/.test(text[from])) return -2;
  if (mark[0] === "_" && /\w$/.test(before)) return -2;
  let tries = 0;
  for (let at = text.indexOf(mark, from + 1); at >= 0 && tries < 50; at = text.indexOf(mark, at + 1), tries += 1) {
    if (/[\s\\]/.test(text[at - 1])) continue;
    // The single mark does not close on one half of a double one.
    if (mark.length === 1 && (text[at + 1] === mark || text[at - 1] === mark)) continue;
    // In *** the inner emphasis closes first.
    while (mark.length === 2 && text[at + 2] === mark[0]) at += 1;
    if (mark[0] === "_" && /\w/.test(text[at + mark.length] ?? "")) continue;
    return at;
  }
  return tries ? -2 : -1;
}

/** The address if a click on it can only open a page or a mail, else "". */
export function safeHref(address) {
  try {
    return ["http:", "https:", "mailto:"].includes(new URL(address).protocol) ? address : "";
  } catch {
    return "";
  }
}

/** `items` with the patches of one message: [index, patch]. A patch with a `kind` is a new item, `add` is
 * more text, other fields replace. Returns the indices that changed. */
export function applyPatches(items, patches, count) {
  items.length = Math.min(items.length, count);
  return patches.map(([index, patch]) => {
    if (patch.kind) {
      items[index] = patch;
    } else {
      const { add = "", ...fields } = patch;
      items[index] = { ...items[index], ...fields };
      if (add) items[index].text += add;
    }
    return index;
  });
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

function appendInline(parent, text) {
  appendNodes(parent, text.length > PLAIN ? [text] : parseInline(text));
}

function appendNodes(parent, nodes) {
  for (const node of nodes) {
    if (typeof node === "string") {
      parent.append(node);
    } else if (node.type === "code") {
      parent.append(make("code", "", node.text));
    } else if (node.type === "break") {
      parent.append(make("br"));
    } else {
      const isLink = node.type === "link";
      const element = make(isLink ? (node.href ? "a" : "span") : node.type);
      if (isLink && node.href) Object.assign(element, { href: node.href, target: "_blank", rel: "noopener noreferrer" });
      appendNodes(element, node.nodes);
      parent.append(element);
    }
  }
}

function appendMarkdown(parent, text) {
  if (text.length > PLAIN) parent.append(make("div", "pnb-plain", text));
  else for (const block of parseBlocks(text)) parent.append(blockElement(block));
}

function blockElement(block) {
  const element = make({ p: "p", heading: `h${block.level}`, code: "pre", quote: "blockquote", table: "table", rule: "hr", list: block.ordered ? "ol" : "ul" }[block.type]);
  if (block.type === "p" || block.type === "heading") appendInline(element, block.text);
  if (block.type === "code") element.append(make("code", "", block.text));
  if (block.type === "quote") element.append(...block.blocks.map(blockElement));
  if (block.type === "table") appendTable(element, block);
  if (block.type === "list") {
    if (block.ordered && block.start !== 1) element.start = block.start;
    for (const blocks of block.items) {
      const item = make("li");
      // A tight item is its text, not a paragraph of its own.
      if (blocks.length && blocks[0].type === "p") {
        appendInline(item, blocks[0].text);
        item.append(...blocks.slice(1).map(blockElement));
      } else {
        item.append(...blocks.map(blockElement));
      }
      element.append(item);
    }
  }
  return element;
}

function appendTable(table, block) {
  const row = (tag, values) => {
    const tr = make("tr");
    block.head.forEach((_, i) => {
      const cell = make(tag);
      appendInline(cell, values[i] ?? "");
      if (block.align[i]) cell.style.textAlign = block.align[i];
      tr.append(cell);
    });
    return tr;
  };
  const head = make("thead");
  head.append(row("th", block.head));
  const body = make("tbody");
  body.append(...block.rows.map((values) => row("td", values)));
  table.append(head, body);
}

/** One message of the answer. Blocks that are complete are made once and never touched again. */
class TextView {
  constructor() {
    // JupyterLab's own classes, so that the still output that follows looks the same.
    this.element = make("div", "pnb-text jp-RenderedHTMLCommon jp-RenderedMarkdown");
    this.done = make("div");
    this.tail = make("div", "pnb-tail");
    this.more = make("div", "pnb-muted");
    this.element.append(this.done, this.tail, this.more);
    this.text = "";
    this.end = 0;
  }

  update(item) {
    if (!item.text.startsWith(this.text.slice(0, this.end))) {
      this.done.replaceChildren();
      this.end = 0;
    }
    const end = sealed(item.text, this.end);
    if (end > this.end) appendMarkdown(this.done, item.text.slice(this.end, end));
    this.text = item.text;
    this.end = end;
    this.tail.replaceChildren();
    appendMarkdown(this.tail, item.text.slice(end));
    setText(this.more, item.more ? `… ${item.more.toLocaleString("en-US")} more characters are in the Turn's text.` : "");
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
    setText(this.badge, panel.words);
    this.badge.className = `pnb-badge pnb-${panel.waiting ? "waiting" : panel.status}`;
    const spans = [...this.facts.children];
    panel.facts.forEach(([before, strong, after, title], i) => {
      const span = spans[i] ?? this.facts.appendChild(make("span"));
      span.title = title;
      const key = [before, strong, after].join("\u0000");
      if (span.dataset.key === key) return;
      span.dataset.key = key;
      span.replaceChildren(before, ...(strong ? [make("b", "", strong)] : []), after);
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
      this.bar.setAttribute("role", "img");
      this.bar.setAttribute("aria-label", panel.budget.title);
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
    this.update(state, state.items.keys());
  }

  update(state, changed) {
    for (const gone of this.views.splice(state.items.length)) gone.element.remove();
    for (const index of changed) {
      const item = state.items[index];
      if (!item) continue;
      let view = this.views[index];
      if (!view || view.kind !== item.kind || view.id !== item.id) {
        const fresh = this.make(item);
        Object.assign(fresh, { kind: item.kind, id: item.id });
        if (view) view.element.replaceWith(fresh.element);
        else this.list.append(fresh.element);
        view = this.views[index] = fresh;
      }
      view.update(item);
    }
    const last = this.views.at(-1);
    for (const view of this.views) view.element.classList.toggle("pnb-writing", view === last && view.kind === "text" && state.panel.running);
    const notes = state.panel.notices;
    if (notes.length !== this.notes.children.length) this.notes.replaceChildren(...notes.map((note) => make("div", "pnb-muted", note)));
    this.panel.update(state.panel);
  }

  make(item) {
    return item.kind === "tool" ? new ToolView(this.send) : new TextView();
  }

  tick() {
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

/** What one model knows, for all its views. Messages are numbered: after a gap the whole state is asked for. */
class Store {
  constructor(model) {
    this.model = model;
    this.views = new Set();
    this.state = structuredClone(model.get("state"));
    this.asked = false;
    model.on("msg:custom", (message) => this.take(message));
  }

  send(message) {
    this.model.send(message);
  }

  take(message) {
    if (message.state) {
      this.asked = false;
      this.state = message.state;
      for (const view of this.views) view.show(this.state);
    } else if (message.reply) {
      for (const view of this.views) view.reply?.(message.reply);
    } else if (message.number === this.state.number + 1) {
      this.state.number = message.number;
      const changed = applyPatches(this.state.items, message.items ?? [], message.count ?? 0);
      if (message.panel) this.state.panel = message.panel;
      for (const view of this.views) view.update(this.state, changed);
    } else if (message.number > this.state.number && !this.asked) {
      this.asked = true;
      this.send({ kind: "ready" });
    }
    this.settle();
  }

  /** Tell the kernel when the still output has taken the place of the last view: then the model can go.
   * A page that was loaded again keeps it, since no still output can reach its cell. */
  settle() {
    if (this.state.fresh && this.state.kind === "turn" && !this.state.panel.running && this.views.size === 0) this.send({ kind: "gone" });
  }
}

/** What shows a state, by its kind. */
const VIEWS = {
  turn: (send) => new TurnView(send),
  panel: (send) => new PanelOnly(send, false),
  badge: (send) => new PanelOnly(send, true),
};

export default () => {
  let store;
  return {
    initialize({ model }) {
      store = new Store(model);
    },
    render({ model, el }) {
      store ??= new Store(model);
      const send = (message) => store.send(message);
      const view = VIEWS[store.state.kind](send);
      const root = make("div", "pnb");
      root.append(view.element);
      el.append(root);
      view.show(store.state);
      store.views.add(view);
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      const timer = setInterval(() => view.tick(), calm ? 1000 : 100);
      return () => {
        clearInterval(timer);
        store.views.delete(view);
        store.settle();
      };
    },
  };
};
