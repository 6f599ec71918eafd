// node --test tests/js/
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const source = readFileSync(new URL("../../praison_nb/notebook/static/live.js", import.meta.url), "utf8");
// As hosts load it: from a text, where no relative import resolves.
const live = await import(`data:text/javascript;base64,${Buffer.from(source).toString("base64")}`);
const { sealed, parseBlocks, parseInline, safeHref, applyPatches } = live;

const DOCUMENT = `# Title
Text of a
paragraph.

- one
- two

  more of two
  \`\`\`py
  code()

  \`\`\`
- three

1. first

| a | b |
|---|:-:|
| 1 | 2 |

\`\`\`python
x = 1

y = 2
\`\`\`
> quoted
> more

---
Last.`;

const shape = (blocks) => blocks.map((b) => b.type);

test("the module stands alone", () => {
  assert.doesNotMatch(source, /^\s*import\b|\bimport\(|require\(|https?:\/\/cdn|innerHTML|insertAdjacentHTML|outerHTML|document\.write|AnyModel/m);
  assert.equal(typeof live.default, "function");
  assert.equal(live.render, undefined);
});

test("blocks", () => {
  assert.deepEqual(shape(parseBlocks(DOCUMENT)), ["heading", "p", "list", "list", "table", "code", "quote", "rule", "p"]);
  const list = parseBlocks(DOCUMENT)[2];
  assert.equal(list.items.length, 3);
  assert.deepEqual(shape(list.items[1]), ["p", "p", "code"]);
  assert.equal(list.items[1][2].text, "code()\n");
  assert.deepEqual(parseBlocks("3. c\n4. d")[0].start, 3);
  assert.deepEqual(parseBlocks("| a | b |\n|---|--:|\n| x \\| y | z |")[0], {
    type: "table", head: ["a", "b"], rows: [["x | y", "z"]], align: ["", "right"],
  });
});

test("streamed in any pieces, sealed blocks add up to the whole", () => {
  const whole = JSON.stringify(parseBlocks(DOCUMENT));
  for (const size of [1, 2, 3, 7, 50]) {
    let end = 0;
    const blocks = [];
    for (let have = size; ; have += size) {
      const text = DOCUMENT.slice(0, have);
      const next = sealed(text, end);
      assert.ok(next >= end && next <= text.length);
      blocks.push(...parseBlocks(text.slice(end, next)));
      end = next;
      if (have >= DOCUMENT.length) break;
    }
    blocks.push(...parseBlocks(DOCUMENT.slice(end)));
    assert.equal(JSON.stringify(blocks), whole, `pieces of ${size}`);
  }
});

test("a complete block is sealed as soon as the next one begins, or its fence closes", () => {
  assert.equal(sealed("one\n\n"), 0);
  assert.equal(sealed("one\n\ntwo"), 5);
  assert.equal(sealed("```\na\n"), 0);
  assert.equal(sealed("```\na\n```\n"), 10);
  assert.equal(sealed("# title\nx"), 8);
  assert.equal(sealed("- a\n\n- b"), 0);
  assert.equal(sealed("- a\n\nb"), 5);
});

test("inline", () => {
  assert.deepEqual(parseInline("a **b *c*** `d*` e_f_g ~~h~~"), [
    "a ", { type: "strong", nodes: ["b ", { type: "em", nodes: ["c"] }] }, " ", { type: "code", text: "d*" }, " e_f_g ", { type: "del", nodes: ["h"] },
  ]);
  assert.deepEqual(parseInline("2 * 3 * 4 and **open"), ["2 * 3 * 4 and **open"]);
  assert.deepEqual(parseInline("see https://a.example/x."), ["see ", { type: "link", href: "https://a.example/x", nodes: ["https://a.example/x"] }, "."]);
  assert.deepEqual(parseInline("\\*no\\*"), ["*no*"]);
});

test("a picture is a link, and a link only opens pages and mails", () => {
  assert.deepEqual(parseInline("![p](http://e.example/x.png)"), [{ type: "link", href: "http://e.example/x.png", nodes: ["p"] }]);
  for (const bad of ["javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "//e.example", "x", ""]) {
    assert.equal(safeHref(bad), "", bad);
  }
  assert.equal(safeHref("mailto:a@b.example"), "mailto:a@b.example");
});

test("html stays text", () => {
  assert.deepEqual(parseInline("<img src=x onerror=alert(1)>"), ["<img src=x onerror=alert(1)>"]);
  assert.deepEqual(parseBlocks("<script>\nalert(1)\n</script>"), [{ type: "p", text: "<script>\nalert(1)\n</script>" }]);
});

test("hostile lengths end, and in time that grows with the text", () => {
  const n = 20000;
  for (const text of ["*".repeat(n), "*a ".repeat(n / 3), "[".repeat(n), "`".repeat(n), "` ``".repeat(n / 4), "> ".repeat(n / 2), "- ".repeat(n / 2), "_a*".repeat(n / 3), "|".repeat(n), "~~a".repeat(n / 3), "![".repeat(n / 2), "[a](".repeat(n / 4), "- a\n  ".repeat(n / 6), "h".repeat(n), "- ".repeat(n / 2) + "x"]) {
    for (const block of parseBlocks(text)) parseInline(block.text ?? "");
    assert.ok(sealed(text) <= text.length);
  }
});

test("patches", () => {
  const items = [{ kind: "text", id: "m", text: "a" }, { kind: "tool", id: "t", state: "running" }];
  assert.deepEqual(applyPatches(items, [[0, { add: "b" }], [1, { state: "done" }], [2, { kind: "text", id: "n", text: "c" }]], 3), [0, 1, 2]);
  assert.deepEqual(items, [{ kind: "text", id: "m", text: "ab" }, { kind: "tool", id: "t", state: "done" }, { kind: "text", id: "n", text: "c" }]);
  applyPatches(items, [], 1);
  assert.equal(items.length, 1);
});
