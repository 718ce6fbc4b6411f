// One map large: a slider between picture and map, its colour bar, values under the
// pointer, its story, and the command that makes it again.
const box = { map: null, values: null, picture: null };

const boxIsOpen = () => field("lightbox").open;

function fact(name, ...what) {
  return [make("dt", {}, name), make("dd", {}, ...what)];
}

function showFacts(m) {
  const list = [
    ...fact(say("File"), outside(m.picture.path || m.picture.name)),
    ...fact(say("Explained class"), outside(classText(m)), " ", scoreText(m)),
    ...fact(say("Most probable classes"), topList(m)),
    ...fact(say("Method"), outside(jobText(m))),
    ...fact(say("Network"), outside(m.job.model)),
    ...fact(say("Values"), `${numberText(m.lo)} … ${numberText(m.hi)}, `
      + `${m.height} × ${m.width}`),
    ...fact(say("Area"), percentText(m.area)),
    ...fact(say("Trust"), ...trustChips(m)),
  ];
  if (m.picture.why) {
    list.push(...fact(say("Picture"), say("The picture cannot be shown: "),
      outside(say(m.picture.why))));
  }
  field("box-list").replaceChildren(...list);
}

const storyText = v => v !== null && typeof v === "object" ? JSON.stringify(v) : String(v);

const verdicts = { fail: "failed", weak: "doubtful", pass: "passed",
                   unjudged: "not judged" };

function showBlock(block) {
  field("box-command").textContent = block.command
    || say("this map has no command: it was made by a script");
  field("box-copy").hidden = !block.command;
  field("box-story").replaceChildren(...Object.entries(block.story).sort()
    .flatMap(([key, v]) => fact(outside(say(key)), outside(storyText(v)))));
  const checks = (block.checks || []).map(c => make("li", {},
    make("span", { class: "chip " + c.verdict }, `${say(c.name)}: ${say(verdicts[c.verdict])}`),
    " ", c.text));
  const warnings = (block.warnings || []).map(w => make("li", {}, outside(w)));
  field("box-checks").replaceChildren(...checks, ...warnings);
  field("box-checks-place").hidden = checks.length + warnings.length === 0;
}

function drawBox() {
  const { map, values, picture } = box;
  if (!values) return;
  const alpha = field("mix").value / 100, wipe = field("wipe").checked;
  paint(field("box-canvas"), map, values, picture, { alpha, wipe, shared: compare.list });
  const [low, high] = thresholdsOf(map, values, compare.list);
  paintBar(field("box-bar"), map);
  field("box-bar").setAttribute("aria-label",
    `${colourNameOf(map)}: ${numberText(low)} … ${numberText(high)}`);
  field("box-ticks").replaceChildren(...[0, 0.25, 0.5, 0.75, 1].map(t =>
    make("span", {}, numberText(low + t * (high - low)))));
}

async function openBox(id) {
  const m = maps[id];
  box.map = m;
  box.values = null;
  field("box-title").replaceChildren(fileName(m.picture.name), ": ", outside(jobText(m)));
  field("box-canvas").setAttribute("aria-label",
    `${mapText(m)}, ${numberText(m.lo)} … ${numberText(m.hi)}`);
  field("mix").value = 100 * usualAlpha(m);
  field("box-value").textContent = "";
  showFacts(m);
  if (!boxIsOpen()) {
    field("lightbox").showModal();
    field("box-canvas").focus();
  }
  const [block, values, picture] = await Promise.all([blockOf(id), valuesOf(id),
    pictureOf(m.pictureId).catch(() => null)]);
  if (box.map !== m) return; // another one was opened meanwhile
  Object.assign(box, { values, picture });
  showBlock(block);
  drawBox();
  await showCompare(m);
  drawBox();
}

// The next map of the table, as it is sorted and filtered.
function stepBox(step) {
  const at = table.shown.indexOf(box.map) + step;
  if (table.shown[at]) openBox(table.shown[at].id);
}

function pointAt(canvas, event) {
  const place = placeOf(canvas, event);
  showValues(place);
  if (!place || !box.values) return;
  const read = readAt(box.map, box.values, place);
  field("box-value").textContent = `${say("value")} ${numberText(read.value)} `
    + `(${read.column}, ${read.row})`;
  field("box-value").dataset.value = read.value;
  field("compare-value").textContent = `${say("Value under the pointer")}: `
    + `${numberText(read.value)} (${read.column}, ${read.row})`;
}

async function copyCommand() {
  const text = field("box-command").textContent;
  try {
    await navigator.clipboard.writeText(text);
    field("box-copy").textContent = say("copied");
    setTimeout(() => { field("box-copy").textContent = say("Copy"); }, 1500);
  } catch { // no clipboard here: select it
    getSelection().selectAllChildren(field("box-command"));
  }
}

function startBox() {
  field("mix").addEventListener("input", drawBox);
  field("wipe").addEventListener("change", drawBox);
  field("box-before").addEventListener("click", () => stepBox(-1));
  field("box-after").addEventListener("click", () => stepBox(1));
  field("box-close").addEventListener("click", () => field("lightbox").close());
  field("box-copy").addEventListener("click", copyCommand);
  field("compare-by").addEventListener("change", () => showCompare(box.map).then(drawBox));
  field("compare-grid").addEventListener("click", event => {
    const button = event.target.closest("[data-map]");
    if (button) openBox(+button.dataset.map);
  });
  field("lightbox").addEventListener("pointermove", event => {
    if (event.target.tagName === "CANVAS" && event.target.id !== "box-bar") {
      pointAt(event.target, event);
    }
  });
}
