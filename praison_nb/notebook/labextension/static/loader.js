// What each widget has of its own: it loads the module that all of a page share from the model that holds it.
const load = (code) => {
  const modules = (globalThis.praisonNbModules ??= new Map());
  const text = code.get("module");
  if (!modules.has(text)) modules.set(text, import(URL.createObjectURL(new Blob([text], { type: "text/javascript" }))));
  return modules.get(text);
};

export default () => {
  let widget, style;
  return {
    async initialize({ model }) {
      const early = [];
      const keep = (message) => early.push(message);
      model.on("msg:custom", keep);
      const code = await model.widget_manager.get_model(model.get("code"));
      style = code.get("style");
      widget = (await load(code)).default();
      model.off("msg:custom", keep);
      widget.initialize({ model, early });
    },
    render({ model, el }) {
      el.append(Object.assign(document.createElement("style"), { textContent: style }));
      return widget.render({ model, el });
    },
  };
};
