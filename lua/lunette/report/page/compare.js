// Maps of one picture side by side: other methods, classes, layers, networks. A pointer
// over one of them reads the value at the same place of all.
const compare = { list: [], here: null };

const same = {
  all: () => true,
  method: (a, b) => a.classId === b.classId && a.job.model === b.job.model,
  class: (a, b) => jobText(a) === jobText(b) && a.job.model === b.job.model,
  layer: (a, b) => a.job.method === b.job.method && a.job.model === b.job.model
    && a.job.rules === b.job.rules && a.classId === b.classId,
  model: (a, b) => a.job.method === b.job.method && a.job.rules === b.job.rules,
};

const MOST_BESIDE = 120;

function besideOf(m) {
  const fits = same[field("compare-by").value];
  return maps.filter(o => o.picture.group === m.picture.group && fits(m, o))
    .slice(0, MOST_BESIDE);
}

function cellOf(m) {
  const canvas = make("canvas", { role: "img", "data-map": m.id, "aria-label": mapText(m) });
  const value = make("span", { class: "value" });
  const title = make("button", { type: "button", "data-map": m.id },
    outside(jobText(m)));
  const models = new Set(compare.list.map(o => o.job.model)).size > 1;
  const caption = make("figcaption", {}, title, make("br"), outside(classText(m)), " ",
    scoreText(m), make("br"));
  if (models) caption.append(outside(m.job.model), make("br"));
  caption.append(value);
  const cell = make("figure", { class: "cell" + (m === compare.here ? " here" : "") },
    canvas, caption);
  return { m, canvas, value, cell };
}

async function drawCell(c) {
  const [values, picture] = await Promise.all([valuesOf(c.m.id),
    pictureOf(c.m.pictureId).catch(() => null)]);
  c.values = values;
  paint(c.canvas, c.m, values, picture, { alpha: usualAlpha(c.m),
                                          shared: compare.list });
}

async function showCompare(m) {
  compare.here = m;
  compare.list = besideOf(m);
  compare.cells = compare.list.map(cellOf);
  field("compare-grid").replaceChildren(...compare.cells.map(c => c.cell));
  for (const c of compare.cells) await drawCell(c).catch(() => {});
}

async function redrawCompare() {
  for (const c of compare.cells || []) await drawCell(c).catch(() => {});
}

// Where the pointer is on a canvas, as shares of width and height. The drawing keeps its
// shape within the element (object-fit: contain).
function placeOf(canvas, event) {
  const box = canvas.getBoundingClientRect();
  const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
  const x = (event.clientX - box.left - (box.width - canvas.width * scale) / 2)
    / (canvas.width * scale);
  const y = (event.clientY - box.top - (box.height - canvas.height * scale) / 2)
    / (canvas.height * scale);
  return x >= 0 && x < 1 && y >= 0 && y < 1 ? { x, y } : null;
}

// Row, column and value of a map at a place.
function readAt(m, values, { x, y }) {
  const column = Math.floor(x * values.width), row = Math.floor(y * values.height);
  return { row, column, value: values.at(row * values.width + column) };
}

function showValues(place) {
  for (const c of compare.cells || []) {
    if (!c.values) continue;
    const read = place && readAt(c.m, c.values, place);
    c.value.textContent = read ? numberText(read.value) : "";
    if (read) c.value.dataset.value = read.value;
  }
}
