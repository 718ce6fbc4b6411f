// Light, dark, or as the system: the choice is kept where the browser allows it.
const theme = {
  names: ["system", "light", "dark"],

  set(name) {
    if (name === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    const select = document.getElementById("theme");
    if (select) select.value = name;
    try { localStorage.setItem("lunette-theme", name); } catch { /* a page of a disk */ }
  },

  next() {
    const now = document.documentElement.dataset.theme || "system";
    theme.set(theme.names[(theme.names.indexOf(now) + 1) % theme.names.length]);
  },

  start() {
    let kept = null;
    try { kept = localStorage.getItem("lunette-theme"); } catch { /* the same */ }
    theme.set(theme.names.includes(kept) ? kept : "system");
    const select = document.getElementById("theme");
    if (select) select.addEventListener("change", () => theme.set(select.value));
  },
};
theme.start();
