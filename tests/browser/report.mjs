// Reads a report as a person does: node report.mjs ADDRESS [FOLDER for screenshots].
// Prints one line of JSON with what was seen.
import { open, pause } from "./browser.mjs";

const [address, shots] = process.argv.slice(2);
const page = await open(address), seen = { opened: page.opened };
const shot = async (name, whole) => shots && page.shot(`${shots}/${name}.png`, whole);
const rows = "[...document.querySelectorAll('#rows tr[data-map]')]";
const ids = `${rows}.map(r => +r.dataset.map)`;
const drawn = "document.querySelectorAll('.thumb canvas').length";

// A control of the page as if a person had moved it.
const set = (id, value) => page.eval(`{ const e = document.getElementById("${id}");
  e.value = ${JSON.stringify(value)}; e.dispatchEvent(new Event("input",
  { bubbles: true })); e.dispatchEvent(new Event("change", { bubbles: true })); 0 }`);
const click = selector =>
  page.eval(`document.querySelector(${JSON.stringify(selector)}).click()`);
// The colour in the middle of a canvas; a picture of another file taints it.
const colour = id => page.eval(`{ const c = document.getElementById("${id}");
  [...c.getContext("2d").getImageData(c.width >> 1, c.height >> 1, 1, 1).data].join() }`)
  .catch(() => "tainted");

async function look() {
  await page.wait(`${rows}.length > 0`);
  await page.wait(`${drawn} > 0`);
  await pause(500);
  await shot("light");
  seen.rows = await page.eval(`${rows}.length`);
  seen.drawn = await page.eval(drawn);

  // sort, filter
  await click("[data-sort=score]");
  seen.falling = await page.eval(`${ids}.map(id => maps[id].probability ?? maps[id].score)`);
  await click("[data-sort=score]");
  seen.rising = await page.eval(`${ids}.map(id => maps[id].probability ?? maps[id].score)`);
  await set("by-method", "saliency");
  seen.methods = await page.eval(`${ids}.map(id => maps[id].job.method)`);
  await set("by-method", "");
  await set("search", "p2 gradcam");
  seen.found = await page.eval(`${ids}.map(id => maps[id].picture.name + " "
    + maps[id].job.method)`);
  await set("search", "");
  await page.theme(true);
  await pause(300);
  await shot("dark");
  await page.theme(false);

  // one map: a value under the pointer of the main view and of all others
  await page.eval("openBox(0)");
  await page.wait("compare.cells && compare.cells.every(c => c.values)");
  await pause(200);
  const box = await page.eval(`(r => [r.left, r.top, r.width, r.height])(
    document.getElementById("box-canvas").getBoundingClientRect())`);
  await page.mouse("mouseMoved", box[0] + box[2] * 0.3, box[1] + box[3] * 0.6);
  await page.wait("document.getElementById('box-value').dataset.value");
  seen.value = await page.eval("+document.getElementById('box-value').dataset.value");
  seen.place = await page.eval("document.getElementById('box-value').textContent");
  seen.beside = await page.eval("compare.cells.map(c => [c.m.id, +c.value.dataset.value])");
  seen.command = await page.eval("document.getElementById('box-command').textContent");
  await shot("box-light");

  // slide, colour map, thresholds
  const before = await colour("box-canvas");
  await set("mix", 0);
  const picture = await colour("box-canvas");
  await set("mix", 100);
  const map = await colour("box-canvas");
  await set("colormap", "gray");
  const grey = await colour("box-canvas");
  await set("low", 99);
  const cut = await colour("box-canvas");
  await set("low", 0);
  Object.assign(seen, { before, picture, map, grey, cut });
  await page.key("ArrowRight");
  await page.wait("box.map.id === table.shown[table.shown.indexOf(maps[0]) + 1].id");
  await page.theme(true);
  await page.wait("box.values");
  await pause(300);
  await shot("box-dark");
  await page.size(390, 844, 2);
  await pause(300);
  await shot("box-phone");
  await page.key("Escape");
  await page.wait("!document.getElementById('lightbox').open");
  await pause(300);
  await shot("phone");
  seen.wide = await page.eval("document.documentElement.scrollWidth");
  seen.asked = page.asked.filter(a => !a.startsWith("data:") && !a.startsWith("blob:"));
  seen.errors = page.errors;
}

try {
  await look();
} finally {
  await page.close();
}
console.log(JSON.stringify(seen));
