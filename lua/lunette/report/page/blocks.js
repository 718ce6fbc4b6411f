// The data of the page: an index of all maps, and a block for every map and picture,
// which is read when it is looked at and forgotten some time after.
const index = JSON.parse(document.getElementById("index").textContent);

// Maps as objects: index.maps has a list of columns for each.
const maps = index.maps.map((m, id) => ({
  id, picture: index.pictures[m[0]], pictureId: m[0], job: index.jobs[m[1]],
  top: index.tops[m[2]], classId: m[3], className: m[4], probability: m[5], score: m[6],
  lo: m[7], hi: m[8], area: m[9], height: m[10], width: m[11], trust: m[12],
}));

const waiting = new Map(); // of a file beside the page: what is to be done with it

// Files beside the page call this.
function lunetteBlock(id, block) {
  waiting.get(id)(block);
  waiting.delete(id);
}

const beside = (kind, id, suffix) => index.beside + "/" + kind
  + String(Math.floor(id / 1000)).padStart(3, "0") + "/" + kind + id + suffix;

function loadBeside(id) {
  return new Promise((done, fail) => {
    const script = document.createElement("script");
    waiting.set(id, done);
    script.src = beside("m", id, ".js");
    script.onload = () => script.remove();
    script.onerror = () => fail(new Error(script.src));
    document.head.append(script);
  });
}

// Blocks stand at the end of the page, which may still be on its way.
async function element(id) {
  for (;;) {
    const found = document.getElementById(id);
    if (found && (found.nextSibling || document.readyState !== "loading")) return found;
    if (document.readyState !== "loading") throw new Error(id);
    await new Promise(done => setTimeout(done, 50));
  }
}

// The last few results of a function of a number.
function remembering(most, make) {
  const kept = new Map();
  return id => {
    let value = kept.get(id);
    if (value) kept.delete(id);
    else value = make(id);
    kept.set(id, value);
    if (kept.size > most) kept.delete(kept.keys().next().value);
    return value;
  };
}

// Story, command, checks and file of values of a map.
const blockOf = remembering(64, async id => index.beside ? loadBeside(id + 1)
  : JSON.parse((await element("m" + (id + 1))).textContent));

// Values of a map: { width, height, numbers }, at(i) is value i.
const valuesOf = remembering(64, async id => {
  const m = maps[id], values = await readPng16((await blockOf(id)).png);
  values.at = i => m.lo + values.numbers[i] * (m.hi - m.lo) / 65535;
  return values;
});

// The picture below a map, or null where there is none.
const pictureOf = remembering(200, async id => {
  const told = index.pictures[id], image = new Image();
  if (!told.width) return null;
  image.src = index.beside ? beside("p", id + 1, ".jpg")
    : "data:image/jpeg;base64," + JSON.parse((await element("p" + (id + 1))).textContent);
  await image.decode();
  return image;
});
