// Beginning: controls, keys, print.
function lookAgain() {
  look.colormap = field("colormap").value;
  look.scale = field("scale").value;
  look.percentile = Math.max(0.1, Math.min(100, +field("percentile").value || 99));
  look.low = +field("low").value;
  look.high = +field("high").value;
  look.hide = field("hide").checked;
  field("low-text").textContent = look.low;
  field("high-text").textContent = look.high;
  thumbs.redraw();
  if (boxIsOpen()) {
    drawBox();
    redrawCompare();
  }
}

function startLook() {
  field("colormap").append(make("option", { value: "" }, say("as the method draws")));
  for (const [name] of index.colormaps) {
    field("colormap").append(make("option", { value: name }, name));
  }
  for (const e of field("look").elements) e.addEventListener("input", lookAgain);
}

// The controls of colours are wanted in the large view too: they move there and back.
function moveLook(open) {
  if (open) document.querySelector(".box-picture").append(field("look"));
  else document.querySelectorAll(".controls")[1].append(field("look"));
}

function nextColormap() {
  const select = field("colormap");
  select.selectedIndex = (select.selectedIndex + 1) % select.length;
  lookAgain();
}

const keys = {
  "/": () => { if (!boxIsOpen()) field("search").focus(); },
  "?": () => field("help").showModal(),
  t: () => theme.next(),
  c: nextColormap,
  "[": () => { if (!boxIsOpen()) turnPage(-1); },
  "]": () => { if (!boxIsOpen()) turnPage(1); },
  ArrowLeft: () => { if (boxIsOpen()) stepBox(-1); },
  ArrowRight: () => { if (boxIsOpen()) stepBox(1); },
};

// More or less of the map over its picture.
function mixBy(step) {
  if (!boxIsOpen()) return;
  field("mix").value = +field("mix").value + step;
  drawBox();
}
keys["+"] = keys["="] = () => mixBy(10);
keys["-"] = () => mixBy(-10);

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.closest("input, select, textarea")) return;
  const action = keys[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

async function printAll() {
  if (!boxIsOpen()) await thumbs.drawAll();
  window.print();
}

function startTable() {
  field("maps").append(make("tbody", { id: "rows" }));
  if (innerWidth < 768) {
    for (const e of document.querySelectorAll(".controls")) e.open = false;
  }
  fillFilters();
  for (const e of field("filter").elements) e.addEventListener("input", filter);
  for (const button of document.querySelectorAll("[data-sort]")) {
    button.addEventListener("click", () => sortBy(button.dataset.sort));
  }
  field("rows").addEventListener("click", event => {
    const row = event.target.closest("tr[data-map]");
    if (row && !String(getSelection())) openBox(+row.dataset.map);
  });
  field("page-before").addEventListener("click", () => turnPage(-1));
  field("page-after").addEventListener("click", () => turnPage(1));
  field("page-size").addEventListener("change", () => { table.page = 0; showPage(); });
  filter();
}

function start() {
  for (const form of document.forms) {
    form.addEventListener("submit", event => event.preventDefault());
  }
  startLook();
  startBox();
  startTable();
  field("print").addEventListener("click", printAll);
  field("keys").addEventListener("click", () => field("help").showModal());
  field("help-close").addEventListener("click", () => field("help").close());
  field("lightbox").addEventListener("close", () => moveLook(false));
  new MutationObserver(() => { if (boxIsOpen()) moveLook(true); })
    .observe(field("lightbox"), { attributes: true, attributeFilter: ["open"] });
  document.addEventListener("keydown", onKey);
  addEventListener("beforeprint", thumbs.sayUndrawn);
  addEventListener("afterprint", thumbs.forgetUndrawn);
  if (location.hash === "#print") thumbs.drawAll();
}
start();
