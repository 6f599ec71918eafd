// Each widget has this; what draws it, all of a page share.
export default () => {
  let view, css;
  return {
    async initialize({ model }) {
      const early = [], keep = (message) => early.push(message);
      model.on("msg:custom", keep);
      const code = await model.widget_manager.get_model(model.get("code"));
      const text = code.get("module"), known = (globalThis.praisonNb ??= {});
      known[text] ??= import(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
      view = (await known[text]).default();
      css = code.get("style");
      model.off("msg:custom", keep);
      view.initialize({ model, early });
    },
    render({ model, el }) {
      el.append(Object.assign(document.createElement("style"), { textContent: css }));
      return view.render({ model, el });
    },
  };
};
