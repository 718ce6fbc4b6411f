// The table: what is shown of it, in which order, and its small pictures, which are
// drawn when they come into view and dropped when they are far away.
const table = { shown: [], page: 0, sort: "", down: false };

const scoreOf = m => m.probability !== null ? m.probability : m.score;

const trustKey = m => m.trust ? 1e6 * m.trust[0] + 1e3 * m.trust[1] - m.trust[2] : -1e9;

const sortKeys = {
  file: m => m.picture.name.toLowerCase(),
  top: m => m.top.length ? m.top[0][0].toLowerCase() : "",
  class: m => classText(m).toLowerCase(),
  score: m => scoreOf(m) ?? -Infinity,
  method: m => jobText(m) + " " + m.job.model,
  area: m => m.area,
  trust: trustKey,
};

// ---- what is shown -----------------------------------------------------------------

const searchText = m => (m.text ??= [m.picture.path, m.picture.name, m.className,
  m.job.method, m.job.layer, m.job.model, m.job.rules, m.job.options,
  ...m.top.map(c => c[0])].join("\n").toLowerCase());

const filters = {
  model: m => m.job.model, method: m => m.job.method, layer: m => m.job.layer,
  class: m => classText(m),
};

const trustFilters = {
  failed: m => m.trust && m.trust[0] > 0,
  doubtful: m => m.trust && m.trust[0] === 0 && m.trust[1] > 0,
  passed: m => m.trust && m.trust[0] + m.trust[1] === 0,
  "not checked": m => !m.trust,
};

const field = id => document.getElementById(id);

// A list of what there is, with `all` first.
function fillSelect(id, values, texts = v => v) {
  const select = field(id);
  select.append(make("option", { value: "" }, say("all")));
  for (const value of values) {
    select.append(make("option", { value }, texts(value)));
  }
}

function fillFilters() {
  for (const [name, of] of Object.entries(filters)) {
    const values = [...new Set(maps.map(of))].filter(v => v !== "").sort();
    fillSelect("by-" + name, values.slice(0, 2000));
  }
  fillSelect("by-trust", Object.keys(trustFilters), say);
}

function wanted() {
  const words = field("search").value.toLowerCase().split(/\s+/).filter(w => w);
  const least = parseFloat(field("by-probability").value);
  const tests = [m => words.every(w => searchText(m).includes(w))];
  for (const [name, of] of Object.entries(filters)) {
    const value = field("by-" + name).value;
    if (value) tests.push(m => of(m) === value);
  }
  if (field("by-trust").value) tests.push(trustFilters[field("by-trust").value]);
  if (least > 0) tests.push(m => m.probability >= least);
  return m => tests.every(test => test(m));
}

function sorted(list) {
  if (!table.sort) return list;
  const key = sortKeys[table.sort], keyed = list.map(m => [key(m), m]);
  keyed.sort(([a, m], [b, n]) => (a < b ? -1 : a > b ? 1 : 0) * (table.down ? -1 : 1)
    || m.id - n.id);
  return keyed.map(pair => pair[1]);
}

function filter() {
  table.shown = sorted(maps.filter(wanted()));
  table.page = 0;
  showPage();
}

function sortBy(name) {
  const numbers = ["score", "area", "trust"];
  table.down = table.sort === name ? !table.down : numbers.includes(name);
  table.sort = name;
  for (const button of document.querySelectorAll("[data-sort]")) {
    const own = button.dataset.sort === name;
    if (own) {
      button.parentElement.setAttribute("aria-sort",
        table.down ? "descending" : "ascending");
    } else {
      button.parentElement.removeAttribute("aria-sort");
    }
  }
  filter();
}

// ---- rows --------------------------------------------------------------------------

const pageSize = () => +field("page-size").value;
const lastPage = () => Math.max(0, Math.ceil(table.shown.length / pageSize()) - 1);

const chip = (kind, count, word) =>
  make("span", { class: "chip " + kind }, `${count} ${say(word)}`);

function trustChips(m) {
  if (!m.trust) return [make("span", { class: "soft" }, say("not checked"))];
  const kinds = [["fail", "failed"], ["weak", "doubtful"], ["pass", "passed"],
                 ["unjudged", "not judged"]];
  return kinds.map(([kind, word], i) => m.trust[i] > 0 && chip(kind, m.trust[i], word))
    .filter(c => c);
}

const shareText = (name, v) => v === null ? "" : v >= 0 && v <= 1 ? percentText(v)
  : numberText(v);

function topList(m) {
  const list = make("ol", { class: "classes" });
  for (const [name, , v] of m.top) {
    list.append(make("li", {}, outside(name), make("span", {}, shareText(name, v))));
  }
  return list;
}

function scoreText(m) {
  if (m.probability !== null) return percentText(m.probability);
  return m.score !== null ? numberText(m.score) : "";
}

function methodCell(m) {
  const cell = make("td", { "data-label": say("Method") }, outside(m.job.method));
  const rest = [m.job.layer, m.job.rules, m.job.options, m.job.model].filter(s => s);
  for (const text of rest) cell.append(make("br"), make("span", { class: "soft" },
    outside(text)));
  return cell;
}

function rowOf(m) {
  const button = make("button", { type: "button", "data-map": m.id,
    "aria-label": mapText(m) });
  return make("tr", { "data-map": m.id },
    make("td", { class: "thumb" }, button),
    make("td", { "data-label": say("File"), title: m.picture.path },
      fileName(m.picture.name)),
    make("td", { class: "plain", "data-label": say("Most probable classes") }, topList(m)),
    make("td", { "data-label": say("Explained class") }, outside(classText(m))),
    make("td", { class: "number", "data-label": say("Score") }, scoreText(m)),
    methodCell(m),
    make("td", { class: "number", "data-label": say("Area") }, percentText(m.area)),
    make("td", { "data-label": say("Trust") }, ...trustChips(m)));
}

const whenIdle = window.requestIdleCallback || (f => setTimeout(f, 100));

// The rows of a page: as many as are seen at once, then the others while there is nothing
// else to do, so that a page of a thousand opens as fast as one of fifty.
const rows = {
  first: 50, left: [], waiting: false,

  show(list) {
    rows.left = list;
    field("rows").replaceChildren();
    rows.add(rows.first);
    rows.rest();
  },

  add(count) {
    const some = rows.left.slice(0, count).map(rowOf);
    rows.left = rows.left.slice(count);
    field("rows").append(...some);
    for (const row of some) thumbs.watch(row.querySelector(".thumb button"));
  },

  rest() {
    if (rows.waiting) return;
    rows.waiting = rows.left.length > 0;
    if (!rows.waiting) return thumbs.rest();
    whenIdle(() => {
      rows.waiting = false;
      rows.add(rows.first);
      rows.rest();
    }, { timeout: 300 });
  },

  all() { rows.add(rows.left.length); },
};

function showPage() {
  const size = pageSize(), first = table.page * size;
  const list = table.shown.slice(first, first + size);
  thumbs.forget();
  thumbs.whole = list.length <= WHOLE;
  rows.show(list);
  if (list.length === 0) {
    field("rows").append(make("tr", {}, make("td", { id: "nothing", colspan: 8 },
      say("nothing fits the filter"))));
  }
  field("page-text").textContent = `${say("Page")} ${table.page + 1} ${say("of")} `
    + `${lastPage() + 1}, ${table.shown.length} ${say("of")} ${maps.length} `
    + say("shown");
  field("page-before").disabled = table.page === 0;
  field("page-after").disabled = table.page === lastPage();
}

function turnPage(step) {
  const page = Math.max(0, Math.min(lastPage(), table.page + step));
  if (page === table.page) return;
  table.page = page;
  showPage();
  field("table-place").scrollIntoView();
}

// ---- small pictures ----------------------------------------------------------------

// A page of at most so many rows is drawn whole, while there is nothing else to do, so
// that whoever prints it has all of it.
const WHOLE = 200;

const thumbs = {
  near: new Set(), queue: [], busy: 0, whole: false, resting: false,

  observer: new IntersectionObserver(entries => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) thumbs.add(target);
      else thumbs.drop(target);
    }
  }, { rootMargin: "400px 0px" }),

  watch(button) { thumbs.observer.observe(button); },

  forget() {
    thumbs.observer.disconnect();
    thumbs.near.clear();
    thumbs.queue = [];
  },

  add(button) {
    thumbs.near.add(button);
    thumbs.queue.push(button);
    thumbs.work();
  },

  // A row that is new is told of as well: only one that was near may have a picture.
  drop(button) {
    if (thumbs.near.delete(button) && !thumbs.whole) button.replaceChildren();
  },

  undrawn() {
    return [...field("rows").querySelectorAll(".thumb button")]
      .filter(button => !button.firstChild);
  },

  // Those out of view, one by one.
  rest() {
    if (thumbs.resting || !thumbs.whole) return;
    thumbs.resting = true;
    whenIdle(async () => {
      const busy = thumbs.busy || thumbs.queue.length, button = thumbs.undrawn()[0];
      if (button && !busy) await thumbs.draw(button);
      thumbs.resting = false;
      if (button) thumbs.rest();
    });
  },

  // Two at a time, so that scrolling comes first.
  async work() {
    if (thumbs.busy >= 2) return;
    const button = thumbs.queue.shift();
    if (!button) return;
    thumbs.busy++;
    if (thumbs.near.has(button)) await thumbs.draw(button);
    thumbs.busy--;
    thumbs.work();
  },

  async draw(button) {
    const m = maps[+button.dataset.map];
    try {
      const [values, picture] = await Promise.all([valuesOf(m.id),
        pictureOf(m.pictureId).catch(() => null)]);
      const canvas = make("canvas", { role: "img", "aria-hidden": "true" });
      paint(canvas, m, values, picture, { alpha: usualAlpha(m) });
      button.replaceChildren(canvas);
    } catch (error) {
      button.textContent = String(error.message);
    }
  },

  // All that are drawn once more, with other colours.
  redraw() {
    for (const button of thumbs.near) thumbs.add(button);
    for (const button of field("rows").querySelectorAll(".thumb button")) {
      if (!thumbs.near.has(button)) button.replaceChildren();
    }
    thumbs.rest();
  },

  // Printing does not wait: a map that is not drawn says how it would be.
  sayUndrawn() {
    rows.all();
    for (const button of thumbs.undrawn()) {
      button.append(make("span", { class: "undrawn" },
        say("not drawn: print by the page's button")));
    }
  },

  forgetUndrawn() {
    for (const e of document.querySelectorAll(".undrawn")) e.remove();
    thumbs.rest();
  },

  async drawAll() {
    rows.all();
    const all = [...field("rows").querySelectorAll(".thumb button")];
    thumbs.observer.disconnect();
    for (const button of all) await thumbs.draw(button);
  },
};
