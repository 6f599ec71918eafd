// node --test tests/js/
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const source = readFileSync(new URL("../../praison_nb/notebook/labextension/static/live.js", import.meta.url), "utf8");
// As hosts load it: from a text, where no relative import resolves.
const live = await import(`data:text/javascript;base64,${Buffer.from(source).toString("base64")}`);
const { safeHref, applyPatches, withoutControls } = live;
const extension = readFileSync(new URL("../../praison_nb/notebook/labextension/static/extension.js", import.meta.url), "utf8");

test("the module stands alone, and HTML enters the page at one place", () => {
  assert.doesNotMatch(source, /^\s*import\b|\bimport\(|require\(|https?:\/\/cdn|innerHTML|insertAdjacentHTML|outerHTML|document\.write|AnyModel|setHTML|createContextualFragment|srcdoc/m);
  assert.equal(source.match(/parseFromString/g).length, 1);
  assert.doesNotMatch(extension, /innerHTML|insertAdjacentHTML|outerHTML|document\.write|setHTML|parseFromString|srcdoc/);
  assert.equal(typeof live.default, "function");
  assert.equal(live.render, undefined);
});

test("a link only opens pages and mails", () => {
  for (const bad of ["javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:alert(1)", "java\nscript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "//e.example", "x", ""]) {
    assert.equal(safeHref(bad), "", bad);
  }
  assert.equal(safeHref("mailto:a@b.example"), "mailto:a@b.example");
});

test("patches", () => {
  const items = [{ kind: "text", id: "m", tail: "<p>a</p>", more: 0 }, { kind: "tool", id: "t", state: "running" }];
  const patches = [[0, { tail: { keep: 4, add: "b</p>" }, more: 2 }], [1, { state: "done" }], [2, { kind: "text", id: "n", tail: "c" }]];
  applyPatches(items, patches, 3);
  assert.deepEqual(items, [{ kind: "text", id: "m", tail: "<p>ab</p>", more: 2 }, { kind: "tool", id: "t", state: "done" }, { kind: "text", id: "n", tail: "c" }]);
  applyPatches(items, [[0, { tail: { keep: 0, add: "new" } }]], 1);
  assert.deepEqual(items, [{ kind: "text", id: "m", tail: "new", more: 2 }]);
});

test("an item goes before what was there", () => {
  const [a, b, c, d] = ["a", "b", "c", "d"].map((id) => ({ kind: "prompt", id, text: id }));
  const items = [a, c];
  applyPatches(items, [[1, b, true], [3, d]], 4);
  assert.deepEqual(items, [a, b, c, d]);
  applyPatches(items, [[0, d, true]], 1);
  assert.deepEqual(items, [d]);
});

test("a patch counts as JavaScript does", () => {
  const items = [{ kind: "text", id: "m", tail: "😀a" }];
  applyPatches(items, [[0, { tail: { keep: 2, add: "b" } }]], 1);
  assert.equal(items[0].tail, "😀b");
});

test("where no click arrives nothing asks for one", () => {
  const panel = { running: true, stoppable: true, waiting: true, status: "running", label: "running · waiting for you", notices: ["a"], facts: [] };
  const state = { number: 3, items: [{ kind: "tool", id: "t", state: "asked", question: { digest: "d" } }], panel };
  const waiting = withoutControls(state);
  assert.deepEqual([waiting.items[0].question, waiting.panel.stoppable, waiting.panel.label], [null, false, panel.label]);
  const lost = withoutControls(state, "It is gone.");
  assert.deepEqual([lost.items[0].state, lost.panel.running, lost.panel.label, lost.panel.notices], ["past", false, "unknown", ["a", "It is gone."]]);
  assert.equal(state.items[0].question.digest, "d");
});

test("of the panel what changed is replaced", () => {
  const store = new live.Store(() => {}, { number: 6, items: [], panel: { label: "running", facts: [["a"]] } });
  store.take({ number: 7, items: [], count: 0, panel: { facts: [["b"]] } });
  assert.deepEqual(store.state.panel, { label: "running", facts: [["b"]] });
});
