// What a model drew that must not be there though nobody clicked: a list of [number or null, words].
(selector) => {
  const roots = [...document.querySelectorAll(selector)];
  const TAGS =
    "script,iframe,frame,object,embed,portal,video,audio,source,track,img,picture,form,input,textarea,select,base," +
    "meta,link,style,template,dialog,marquee,svg,plaintext,xmp";
  const ATTRIBUTES = /^(on.*|src|srcset|srcdoc|background|poster|action|formaction|ping|data-command.*|is|slot|autofocus|contenteditable)$/;
  const found = new Map();
  const note = (element, why) => {
    let number = null;
    for (let at = element; at && number === null; at = at.parentElement) {
      const match = /\/leak\/(\d+)\/|\bran\((\d+)\)/.exec(at.outerHTML.slice(0, 20000));
      if (match) number = Number(match[1] ?? match[2]);
      if (roots.includes(at)) break;
    }
    const key = `${number} ${why}`;
    if (!found.has(key)) found.set(key, [number, `${why}: ${element.outerHTML.slice(0, 160)}`]);
  };
  const isMath = (element) => !!element.closest("mjx-container, .MathJax_CHTML, .MathJax, .mjx-chtml, [type^='math/']");
  // MathJax 2 keeps the source in a script that is none; nbconvert draws its own Mermaid diagrams.
  const isOurs = (element) => element.matches("script[type^='math/']") || !!element.closest(".pnb-panel, .jp-mod-sentinel");
  const clips = (element) => getComputedStyle(element).overflow !== "visible" || getComputedStyle(element).contain.includes("paint");
  for (const root of roots) {
    const box = root.getBoundingClientRect();
    // What drives a terminal or turns the reading direction.
    if (/[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/.test(root.textContent)) note(root, "signs");
    for (const element of root.querySelectorAll("*")) {
      if (isOurs(element)) continue;
      if (element.matches(TAGS)) note(element, element.localName);
      for (const { name, value } of element.attributes) {
        if (ATTRIBUTES.test(name)) note(element, name);
        if (name === "style" && /url\(|expression|position\s*:\s*(fixed|absolute|sticky)/i.test(value) && !(isMath(element) && !/url\(|fixed/i.test(value))) note(element, "style");
        if (/^(xlink:)?href$/.test(name) && !/^(https?:\/\/|mailto:)/i.test(value)) note(element, "address");
        if (name === "class" && isMath(element) && /\b(pnb|jp|lm)-/.test(value)) note(element, "class");
        if (name === "id" && /zzid|jupyter-config-data/.test(value)) note(element, "id");
      }
    }
    for (const formula of root.querySelectorAll("mjx-container *, .mjx-chtml *")) {
      const { left, right, top, bottom, width, height } = formula.getBoundingClientRect();
      if (!width || !height || formula.closest("mjx-assistive-mml, .MJX_Assistive_MathML")) continue;
      if (left > box.left - 40 && top > box.top - 40 && bottom < box.bottom + 40 && right < box.right + 40) continue;
      let at = formula;
      while (at !== root.parentElement && !clips(at)) at = at.parentElement;
      if (at === root.parentElement) note(formula.closest("mjx-container, .mjx-chtml"), "outside");
    }
  }
  return [...found.values()].slice(0, 500);
}
