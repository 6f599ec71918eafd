// The extension of JupyterLab and Notebook 7: it draws turns that are outputs of their own, follows them in the kernel,
// and writes into the notebook what stays of them (docs/turn-output.md).

const MIME = "application/vnd.praison-nb.turn+json";
const COMM = "praison-nb"; // the comm's target and its id: the pages of a kernel share it
const VERSION = 1;
const WRITE_MS = 5000; // what came meanwhile is written into the notebook
const INFO_MS = 1000; // a kernel that has not said by then what it can is busy
const SUBSHELL_MS = 5000; // JupyterLab holds back for 3 s what is sent to a busy kernel
const END_MS = 1000; // the kernel's own update has reached the page that ran the cell by then
const MEET_MS = 2000; // pages that share a document have heard of each other by then
const GONE = {
  kept: "", // the output says so already
  unknown: "The kernel does not know this turn any more; its text so far is kept.",
  none: "No kernel runs this turn; its text so far is kept.",
  restarting: "The kernel was restarted, and the turn ended with it; its text so far is kept.",
  dead: "The kernel died, and the turn ended with it; its text so far is kept.",
};

/** Whether it is a turn as the kernel describes it: what is in a notebook may come from anywhere. */
function isTurn(data) {
  const { version, items, panel } = data ?? {};
  return version === VERSION && [items, panel?.facts, panel?.notices, panel?.threads].every(Array.isArray);
}

/** The turns of this page by their ids: outputs may show one in several places. */
class Turns {
  constructor(live) {
    this.live = live;
    this.stores = new Map();
    this.links = new Map(); // the page's notebooks
    this.widgets = new Set(); // what shows turns, in a notebook or in a widget of it
  }

  /** The turn's outputs in all notebooks: a cell may have been copied. */
  *outputs(id) {
    for (const link of this.links.values()) for (const [output] of link.outputs(id)) yield [output, link];
  }

  /** Follow a turn whose output has come back by an undo: what was known of it may be forgotten. One in a widget is in no
   * notebook, and its page finds the kernel by where it is. */
  find(id, node) {
    if (this.stores.get(id)?.link) return;
    const [found] = this.outputs(id);
    const link = found?.[1] ?? [...this.links.values()].find(({ panel }) => panel.node.contains(node));
    if (link?.isReady) link.follow(id);
  }

  get(id) {
    if (!this.stores.has(id)) this.stores.set(id, new this.live.Store((message) => this.send(id, message)));
    const store = this.stores.get(id);
    store.onEnd = () => setTimeout(() => store.link?.finish(id), END_MS);
    store.change = (state) => (store.isLive ? state : this.live.withoutControls(state, GONE[store.gone]));
    return store;
  }

  /** Take the state that an output holds, where none newer is known. */
  offer(id, state) {
    const store = this.get(id);
    // Another page may know sooner that the kernel has gone.
    if (!store.state || state.number > store.state.number || (state.gone && !store.gone)) {
      if (state.gone) store.gone = "kept";
      store.set(structuredClone(state));
    }
    return store;
  }

  send(id, message) {
    this.stores.get(id).link?.send({ ...message, id });
  }
}

const within = (ms, promise) => Promise.race([promise, new Promise((resolve) => setTimeout(resolve, ms))]);

/** What this page says to a kernel, in order. It goes to a thread of its own there, a subshell, where the kernel has such:
 * so it arrives while a cell runs, also in a page that was loaded meanwhile, to which a busy kernel has not even said what
 * it can. */
class Line {
  constructor(kernel) {
    this.kernel = kernel;
    this.ready = this.openSubshell().catch(() => {});
    this.post("comm_open", { comm_id: COMM, target_name: COMM, data: { version: VERSION } });
  }

  async openSubshell() {
    const { kernel } = this;
    const info = await within(INFO_MS, kernel.info);
    if (info && !info.supported_features?.includes("kernel subshells")) return;
    const asked = kernel.sendControlMessage(this.message("control", "create_subshell_request", {}), true);
    this.subshell = (await within(SUBSHELL_MS, asked.done))?.content.subshell_id;
  }

  message(channel, type, content) {
    const { clientId: session, username } = this.kernel;
    const id = this.subshell ? { subshell_id: this.subshell } : {};
    const header = { msg_id: crypto.randomUUID?.() ?? String(Math.random()), msg_type: type, session, username, version: "5.5", date: new Date().toISOString(), ...id };
    return { header, parent_header: {}, metadata: {}, content, channel, buffers: [] };
  }

  post(type, content) {
    this.ready.then(() => this.isClosed || this.kernel.isDisposed || this.kernel.sendShellMessage(this.message("shell", type, content), false, true));
  }

  send(data) {
    this.post("comm_msg", { comm_id: COMM, data });
  }

  /** What is not sent by now is meant for a kernel that is gone. */
  close() {
    this.isClosed = true;
  }

  /** The page goes on without this notebook. */
  dispose() {
    const { kernel, subshell } = this;
    this.subshell = "";
    if (subshell && !kernel.isDisposed) kernel.sendControlMessage(this.message("control", "delete_subshell_request", { subshell_id: subshell }));
    this.close();
  }
}

/** The pages that show a notebook together, of which one writes a turn: an output that two replace at the same time is
 * there twice then. Each says in the document's awareness which turns' cells it ran. */
class Peers {
  constructor(model) {
    this.awareness = model.collaborative ? model.sharedModel.awareness : null;
    if (!this.awareness) return;
    this.ran = new Set();
    this.begun = Date.now();
    // Nobody else tells a page that is new who was there before.
    this.onChange = ({ added }) => added.length && this.announce();
    this.awareness.on("change", this.onChange);
    // Else others believe for half a minute that it is still there.
    this.onHide = () => this.awareness.setLocalStateField(COMM, null);
    addEventListener("pagehide", this.onHide);
    this.announce();
  }

  announce() {
    this.awareness.setLocalStateField(COMM, [...this.ran]);
  }

  /** The kernel's own updates of this turn's output go to this page. */
  add(id) {
    this.ran?.add(id);
    if (this.ran) this.announce();
  }

  delete(id) {
    if (this.ran?.delete(id)) this.announce();
  }

  /** Whether this page writes the turn: the one that ran its cell, or where that is gone the first. */
  isWriter(id) {
    if (!this.awareness || this.ran.has(id)) return true;
    const states = [...this.awareness.getStates()].filter(([, state]) => state[COMM]);
    const isFirst = states.every(([page]) => page >= this.awareness.clientID);
    return isFirst && Date.now() - this.begun > MEET_MS && !states.some(([, state]) => state[COMM].includes(id));
  }

  dispose() {
    if (!this.awareness) return;
    this.awareness.off("change", this.onChange);
    removeEventListener("pagehide", this.onHide);
    this.onHide();
  }
}

/** One notebook and its kernel. */
class Link {
  constructor(panel, turns, onStatus) {
    Object.assign(this, { panel, turns, onStatus, line: null, status: "" });
    const { sessionContext, context } = panel;
    sessionContext.iopubMessage.connect((_, message) => this.see(message));
    sessionContext.statusChanged.connect((_, status) => this.heed(status));
    sessionContext.connectionStatusChanged.connect((_, status) => status === "connected" && this.resume());
    sessionContext.kernelChanged.connect((_, { oldValue, newValue }) => {
      if (oldValue) this.lose("none");
      if (newValue) this.resume(); // one that is chosen may know the turn
    });
    context.saveState.connect((_, state) => state === "started" && this.write());
    const timer = setInterval(() => this.write(), WRITE_MS);
    panel.disposed.connect(() => {
      clearInterval(timer);
      this.line?.dispose();
      this.peers?.dispose();
    });
    // A page that was loaded while a turn ran, or after it.
    Promise.all([context.ready, sessionContext.ready]).then(() => {
      this.isReady = true;
      this.peers = new Peers(context.model);
      if (context.model.collaborative) context.model.contentChanged.connect(() => this.trust());
      this.resume();
    });
  }

  /** The outputs of turns whose end this page has not seen. What was not run here and is signed by nobody attaches to
   * nothing. */
  *outputs(wanted) {
    for (const cell of this.panel.content.model?.cells ?? []) {
      for (let i = 0; i < (cell.outputs?.length ?? 0); i++) {
        const output = cell.outputs.get(i);
        const data = output.data[MIME];
        if (output.trusted && isTurn(data) && (!wanted || data.id === wanted)) yield [output, data];
      }
    }
  }

  /** Trust what another page ran, as a page that is loaded afterwards does: JupyterLab looks when a cell is made only. */
  trust() {
    for (const cell of this.panel.content.model?.cells ?? []) {
      if (cell.type === "code" && !cell.trusted && cell.getMetadata("trusted")) cell.trusted = true;
    }
  }

  resume() {
    for (const [, data] of this.outputs()) {
      const store = this.turns.offer(data.id, data);
      store.asked = false; // what was asked before may be lost
      // Of a turn that ended with its kernel the next one is asked, which may have it in its store, once that is known to
      // have praison_nb. What this page saw to the kernel's end is more than anybody kept.
      if (["", undefined, "none"].includes(store.gone) || (this.line && !store.wasLive)) this.follow(data.id);
    }
  }

  /** What the kernel says: to all pages, or that a turn begins, or how it is now; its output may be out of view. */
  see({ header, parent_header: parent, content }) {
    if (header.msg_type === "comm_msg" && content.comm_id === COMM) this.take(content.data);
    if (header.msg_type === "comm_close" && content.comm_id === COMM) this.lose("unknown");
    const data = /^(update_)?display_data$/.test(header.msg_type) ? content.data[MIME] : null;
    if (!isTurn(data)) return;
    const store = this.turns.offer(data.id, data);
    const begins = header.msg_type === "display_data";
    if (begins && parent.session === this.panel.sessionContext.session?.kernel?.clientId) this.peers?.add(data.id);
    if (this.line && begins) {
      // It begins, and the kernel says the rest by itself.
      Object.assign(store, { link: this, isLive: true, wasLive: true });
      store.show();
    } else {
      this.follow(data.id);
    }
  }

  follow(id) {
    const store = this.turns.get(id);
    store.link = this;
    if (this.open()) store.ask();
    else this.lose("none", id);
  }

  open() {
    const kernel = this.panel.sessionContext.session?.kernel;
    if (!this.line && kernel && kernel.status !== "dead") {
      this.line = new Line(kernel);
      this.resume();
    }
    return Boolean(this.line);
  }

  send(message) {
    this.line?.send(message);
  }

  take(message) {
    if (message.status !== undefined && this.line) {
      this.status = message.status;
      this.onStatus();
    }
    if (message.table) this.showTable?.(message.table);
    const store = this.turns.stores.get(message.id);
    if (!store || store.link !== this) return;
    if (message.unknown) {
      this.lose("unknown", message.id);
    } else if (message.still) {
      // Of a turn that was cut off a page may have seen more than was kept.
      if (!this.peers?.isWriter(message.id)) setTimeout(() => this.finish(message.id), MEET_MS);
      else if (message.is_whole || !this.turns.live.isLonger(store.state, message.still)) this.put(message.id, message.still);
      else this.lose("unknown", message.id);
    } else {
      if (message.state) Object.assign(store, { isLive: true, wasLive: true, gone: "" });
      store.take(message);
      if (message.ended) store.end(message.ended);
    }
  }

  /** Ask for what stays of a turn, where the kernel's own update did not reach this page's notebook. */
  finish(id) {
    const store = this.turns.stores.get(id);
    if (this.turns.outputs(id).next().done && !store?.views.size) {
      this.forget(id);
    } else if (store) {
      store.asked = false;
      store.ask();
    }
  }

  /** Write what stays, in each notebook that has it. */
  put(id, data) {
    for (const [output] of this.turns.outputs(id)) output.setData({ data });
    for (const widget of this.turns.widgets) widget.settle(id, data);
    this.forget(id);
  }

  forget(id) {
    this.turns.stores.delete(id);
    this.peers?.delete(id);
  }

  /** Write what there is so far, so that it is in the file whenever that is saved. */
  write() {
    for (const [output, { id, number, gone }] of this.outputs()) {
      const store = this.turns.stores.get(id);
      if (!store?.state || (store.state.number <= number && !store.gone) || gone || !this.peers?.isWriter(id)) continue;
      const state = store.change(store.state);
      const { items, panel } = store.gone ? state : store.state;
      const data = { version: VERSION, id, number: store.state.number, items, panel, ...(store.gone ? { gone: true } : {}) };
      output.setData({ data: { [MIME]: structuredClone(data), ...this.turns.live.staticOf(state) } });
    }
  }

  heed(status) {
    if (["restarting", "autorestarting"].includes(status)) this.lose("restarting");
    if (["dead", "terminating"].includes(status)) this.lose("dead");
  }

  /** The kernel says nothing more about its turns, or about one. */
  lose(gone, id = "") {
    if (!id) {
      this.line?.close();
      this.line = null;
      this.status = "";
      this.onStatus();
    }
    for (const [key, store] of this.turns.stores) {
      if (store.link !== this || (id && key !== id) || store.gone === gone) continue;
      Object.assign(store, { isLive: false, asked: false, gone: store.gone || gone });
      if (store.state) store.show();
    }
    this.write();
  }

  /** Have `show` called with the table of `%agent`, once. */
  ask(show) {
    this.showTable = (table) => {
      this.showTable = null;
      show(table);
    };
    this.send({ kind: "table" });
  }
}

export async function plugins(get, live, style) {
  const [{ IRenderMimeRegistry }, { INotebookTracker }, { Widget }, bar, settings, apputils] = await Promise.all(
    ["@jupyterlab/rendermime", "@jupyterlab/notebook", "@lumino/widgets", "@jupyterlab/statusbar", "@jupyterlab/settingregistry", "@jupyterlab/apputils"].map(get),
  );
  const turns = new Turns(live);
  const { links } = turns;
  let onStatus = () => {};

  class TurnOutput extends Widget {
    constructor(rendermime) {
      super();
      this.rendermime = rendermime;
      turns.widgets.add(this);
    }

    renderModel(model) {
      const data = model.data[MIME];
      if (!isTurn(data)) {
        this.node.textContent = model.data["text/plain"] ?? "";
      } else if (this.store !== turns.offer(data.id, data)) {
        this.end?.();
        this.id = data.id;
        this.store = turns.get(data.id);
        this.node.replaceChildren();
        this.end = this.store.mount(this.node);
        // The notebook has it by then.
        setTimeout(() => turns.find(data.id, this.node));
      }
      return Promise.resolve();
    }

    /** Show what stays of the turn, where no output of a notebook is replaced by it: in a widget. */
    settle(id, data) {
      if (!this.end || id !== this.id) return;
      this.end();
      this.end = null;
      const still = this.rendermime.createRenderer("text/html");
      still.renderModel(this.rendermime.createModel({ data, trusted: true }));
      this.node.replaceChildren(still.node);
    }

    dispose() {
      turns.widgets.delete(this);
      this.end?.();
      this.end = null;
      super.dispose();
    }
  }

  const turn = {
    id: "praison-nb:turn",
    description: "Draws and follows the turns of agents.",
    autoStart: true,
    requires: [IRenderMimeRegistry, INotebookTracker],
    activate: (app, rendermime, tracker) => {
      document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: style }));
      // Not safe: what is not trusted is shown as the HTML beside it, and attaches to nothing.
      rendermime.addFactory({ safe: false, mimeTypes: [MIME], createRenderer: () => new TurnOutput(rendermime) }, 0);
      // For chats, which are widgets and know nothing of JupyterLab.
      (globalThis.praisonNb ??= {}).typeset = (node) => rendermime.latexTypesetter?.typeset(node);
      const add = (panel) => {
        links.set(panel, new Link(panel, turns, () => onStatus()));
        panel.disposed.connect(() => links.delete(panel));
      };
      tracker.forEach(add);
      tracker.widgetAdded.connect((_, panel) => add(panel));
    },
  };

  const status = bar?.IStatusBar && {
    id: "praison-nb:status",
    description: "Says in the status bar what the notebook's agents do and spent.",
    autoStart: true,
    requires: [INotebookTracker],
    // Notebook 7 has the token and no bar.
    optional: [bar.IStatusBar, ...(settings ? [settings.ISettingRegistry] : [])],
    activate: async (app, tracker, statusBar, registry) => {
      if (!statusBar) return;
      const node = document.createElement("button");
      node.type = "button";
      node.className = "pnb-status-item";
      node.title = "Agents of this notebook";
      const item = new Widget({ node });
      const link = () => links.get(tracker.currentWidget);
      let isOn = true;
      // The bar asks too, when it is drawn anew.
      const isActive = () => isOn && Boolean(link()?.status);
      onStatus = () => {
        const label = link()?.status ?? "";
        node.textContent = label && `Agents: ${label}`;
        item.setHidden(!isActive());
      };
      node.addEventListener("click", () => {
        const { Dialog, showDialog } = apputils;
        link()?.ask((content) => {
          const body = new Widget({ node: table(content) });
          showDialog({ title: "Agents of this notebook", body, buttons: [Dialog.okButton()] });
        });
      });
      statusBar.registerStatusItem("praison-nb:status", { item, align: "left", rank: 20, isActive });
      tracker.currentChanged.connect(onStatus);
      onStatus();
      try {
        const loaded = await registry?.load("praison-nb:status");
        const heed = () => {
          isOn = loaded?.composite.statusBar !== false;
          onStatus();
        };
        loaded?.changed.connect(heed);
        heed();
      } catch (error) {
        console.warn("praison-nb: its settings cannot be read.", error);
      }
    },
  };
  return [turn, ...(status ? [status] : [])];
}

/** The table of `%agent`, as text in cells. */
function table({ headers, rows, none }) {
  const root = document.createElement("div");
  if (!rows.length) {
    root.textContent = none;
    return root;
  }
  const add = (parent, tag, text = "") => parent.appendChild(Object.assign(document.createElement(tag), { textContent: text }));
  root.className = "jp-RenderedHTMLCommon";
  const grid = add(root, "table");
  const line = (tag, cells) => {
    const row = add(grid, "tr");
    for (const cell of cells) add(row, tag, cell);
  };
  line("th", headers);
  for (const row of rows) line("td", row);
  return root;
}
