
// The conversation. This text follows live.js in one module and adds a view to it.

/** What the user said, or a line that is nobody's: a notice, an error. */
class SaidView {
  constructor(className, who) {
    this.element = make("div", className);
    if (who) this.element.append(make("span", "pnb-who", who));
    this.text = make("span", "pnb-plain");
    this.element.append(this.text);
  }

  update(item) {
    setText(this.text, item.text);
  }
}

/** Have the page's own typesetter, which the extension offers, do the formulas; where there is none they stay TeX. What may
 * be one the kernel has marked. */
async function typeset(root) {
  const typesetter = globalThis.praisonNb?.typeset;
  for (const formula of typesetter ? root.querySelectorAll(".mathjax_process:not([data-typeset])") : []) {
    formula.dataset.typeset = "";
    await typesetter(formula);
  }
}

/** Transcript, panel, and what the user writes. A message stays in its field until the kernel has taken it. */
class ChatView extends TurnView {
  constructor(send) {
    super(send);
    this.element.className = "pnb-chat pnb-alive";
    this.list.className = "pnb-list";
    this.list.tabIndex = 0; // scrollable by keyboard
    this.list.setAttribute("role", "log");
    this.list.setAttribute("aria-label", "Conversation");
    this.hint = make("div", "pnb-muted");
    this.hint.setAttribute("role", "status");
    this.element.append(this.form(), this.hint);
    this.pending = new Map(); // what the kernel has not answered yet, by its id
    this.held = null; // a prompt that waits for the kernel's word about the model
    this.refused = 0; // models
    this.pressed = null; // how many of them when the button went down
    // A long conversation has many formulas: they are typeset when they are seen.
    this.seen = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) if (isIntersecting) this.typeset(target);
    });
    send({ kind: "shown" });
  }

  form() {
    const form = make("form", "pnb-form");
    // Else JupyterLab takes Shift+Enter for running the cell.
    form.dataset.lmSuppressShortcuts = "true";
    this.input = make("textarea", "pnb-input");
    this.input.rows = 1;
    this.input.placeholder = "Message (Enter sends, Shift+Enter: new line)";
    this.input.setAttribute("aria-label", "Message");
    this.go = button("Send", "pnb-go");
    this.go.type = "submit";
    this.fresh = button("New session");
    this.model = make("input", "pnb-model");
    this.model.setAttribute("aria-label", "Model");
    this.model.title = "Model of the next turn";
    this.models = make("datalist");
    this.models.id = `pnb-${crypto.getRandomValues(new Uint32Array(2)).join("")}`;
    this.model.setAttribute("list", this.models.id);
    const row = make("div", "pnb-row");
    row.append(this.go, this.fresh, this.model, this.models);
    form.append(this.input, row);
    this.input.addEventListener("keydown", (event) => {
      // Enter that ends the writing of a Chinese or Japanese word sends nothing.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.submit();
    });
    form.addEventListener("keydown", (event) => event.stopPropagation());
    this.input.addEventListener("input", () => this.grow());
    this.go.addEventListener("pointerdown", () => (this.pressed = this.refused));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      // A model that was left for the button, and refused before that came up again: nobody has read that yet.
      const pressed = this.pressed ?? this.refused;
      this.pressed = null;
      if (pressed !== this.refused) return;
      this.submit();
    });
    this.fresh.addEventListener("click", () => this.ask("The click", { kind: "new" }));
    this.model.addEventListener("change", () => this.ask("The model", { kind: "model", model: this.model.value.trim() }));
    this.model.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.model.blur();
    });
    return form;
  }

  grow() {
    this.input.style.height = "auto";
    this.input.style.height = `${this.input.scrollHeight + 2}px`;
  }

  submit() {
    const text = this.input.value;
    if (!text.trim()) return;
    const model = this.awaited((message) => message.kind === "model");
    if (model) {
      // It is meant for that model and no other. Asked once more, the kernel may have missed the first time.
      if (this.held !== null) this.ask("The model", model);
      this.held = text;
    } else this.say(text);
  }

  say(text) {
    // The same text once more is the same message: the kernel takes it once.
    const again = this.awaited((message) => message.kind === "send" && message.text === text);
    this.ask("The message", again ?? { kind: "send", text });
  }

  /** The last such message that the kernel has not answered. */
  awaited(wanted) {
    return [...this.pending.values()].map(({ message }) => message).findLast(wanted);
  }

  ask(what, message) {
    const sent = { id: `${Date.now()}-${Math.random()}`, ...message };
    clearTimeout(this.pending.get(sent.id)?.deaf);
    this.pending.set(sent.id, { message: sent, deaf: setTimeout(() => setText(this.hint, deaf(what)), DEAF_MS) });
    this.send(sent);
  }

  reply({ to, accepted, message }) {
    const asked = this.pending.get(to);
    if (!asked) return;
    clearTimeout(asked.deaf);
    this.pending.delete(to);
    setText(this.hint, message);
    if (asked.message.kind === "send" && accepted) this.sent(asked.message.text);
    if (asked.message.kind === "model") this.chose(asked.message.model, accepted);
  }

  sent(text) {
    if (this.input.value === text) this.input.value = "";
    this.grow();
    this.toEnd();
  }

  /** The kernel's word about the model: a prompt that waited goes to it, or stays in its field. */
  chose(model, accepted) {
    if (!accepted) this.refused += 1;
    if (!accepted && this.model.value.trim() === model) this.model.value = this.now;
    if (this.held === null || this.awaited((message) => message.kind === "model")) return;
    const held = this.held;
    this.held = null;
    if (accepted) this.say(held);
  }

  show(state) {
    super.show(state);
    // Once in the page, and again when what came into sight has its true height.
    requestAnimationFrame(() => this.toEnd(3));
  }

  toEnd(times = 1) {
    this.list.scrollTop = this.list.scrollHeight;
    if (times > 1) requestAnimationFrame(() => this.toEnd(times - 1));
  }

  async typeset(text) {
    const atEnd = this.isAtEnd();
    // The last block of what is being written changes.
    const isWriting = text.classList.contains("pnb-writing");
    this.seen.unobserve(text);
    await typeset(isWriting ? text.firstChild : text);
    if (atEnd) this.toEnd();
  }

  isAtEnd() {
    return this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
  }

  make(item) {
    if (item.kind === "prompt") return new SaidView("pnb-prompt", "You");
    if (item.kind === "note") return new SaidView("pnb-muted");
    if (item.kind === "error") return new SaidView("pnb-error-line");
    return super.make(item);
  }

  update(state, patches) {
    const atEnd = this.isAtEnd();
    const written = this.list.querySelectorAll(":scope > .pnb-writing");
    super.update(state, patches);
    for (const element of [...written, ...patches.map(([index]) => this.views[index]?.element)]) {
      if (!element?.classList.contains("pnb-text")) continue;
      this.seen.unobserve(element);
      this.seen.observe(element);
    }
    const { models, model } = state.panel;
    if (model !== this.now) {
      this.now = model;
      this.model.value = model;
    }
    if (models.length !== this.models.children.length) {
      this.models.replaceChildren(...models.map((name) => Object.assign(make("option"), { value: name })));
    }
    this.model.hidden = !models.length;
    // A screen reader says the answer when it is whole.
    this.list.setAttribute("aria-busy", String(state.panel.running));
    if (atEnd) requestAnimationFrame(() => this.toEnd(3));
  }
}

VIEWS.chat = (send) => new ChatView(send);
