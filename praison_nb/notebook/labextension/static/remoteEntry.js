// What JupyterLab's module federation loads: a container with one module, ./extension. It is written by hand, so that
// no build is needed; the modules beside it are loaded by their addresses.
(() => {
  const here = document.currentScript.src;
  const load = (name) => import(Object.assign(new URL(name, here), { search: new URL(here).search }).href);
  let shared;
  /** A module of JupyterLab's own; null where the application has none of that name. */
  const get = async (name) => {
    const version = Object.values(shared[name] ?? {})[0];
    return version ? (await version.get())() : null;
  };
  window._JUPYTERLAB ??= {};
  window._JUPYTERLAB["praison-nb"] = {
    init: (scope) => void (shared = scope),
    get: async () => {
      const [{ plugins }, live] = await Promise.all([load("extension.js"), load("live.js")]);
      const made = await plugins(get, live, new URL("live.css", here).href);
      return () => ({ __esModule: true, default: made });
    },
  };
})();
