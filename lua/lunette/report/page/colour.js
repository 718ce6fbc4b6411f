// From values to colours: colour maps, scales and thresholds that the reader chooses.
const colours = {};
for (const [name, base64, diverging] of index.colormaps) {
  colours[name] = { table: bytesOf(base64), diverging };
}

// What the reader has chosen; `alpha` is the share of the map over its picture.
const look = { colormap: "", scale: "method", percentile: 99, low: 0, high: 100,
               hide: false };

const isSigned = m => m.lo < 0 && m.hi > 0;

const isOverlay = m => m.job.draws === "overlay" || m.job.draws === "channels";

function colourNameOf(m) {
  if (look.colormap) return look.colormap;
  if (isSigned(m)) return "coolwarm";
  return isOverlay(m) ? "jet" : "viridis";
}

// The value below which so many per cent of the absolute values are.
function percentileOf(m, values, percent) {
  const bins = new Uint32Array(4096), most = Math.max(Math.abs(m.lo), Math.abs(m.hi));
  if (!(most > 0)) return 0;
  for (let i = 0; i < values.numbers.length; i++) {
    bins[Math.min(4095, Math.floor(Math.abs(values.at(i)) / most * 4096))]++;
  }
  let left = values.numbers.length * percent / 100, k = 0;
  while (k < 4095 && left > bins[k]) left -= bins[k++];
  return (k + 1) / 4096 * most;
}

// The values of the first and the last colour, before thresholds.
function spanOf(m, values, shared) {
  const signed = isSigned(m), most = Math.max(Math.abs(m.lo), Math.abs(m.hi)) || 1;
  let scale = look.scale;
  if (scale === "shared" && shared) {
    const least = Math.min(...shared.map(s => s.lo));
    return [least, Math.max(...shared.map(s => s.hi), least + 1e-30)];
  }
  if (scale === "method" || scale === "shared") {
    scale = signed ? "symmetric" : isOverlay(m) ? "minmax" : "percentile";
  }
  if (scale === "minmax") return m.hi > m.lo ? [m.lo, m.hi] : [m.lo, m.lo + 1];
  if (scale === "symmetric") return [-most, most];
  const last = percentileOf(m, values, look.percentile) || most;
  return [signed ? -last : 0, last];
}

// The same with the reader's thresholds, which are per cent of it.
function thresholdsOf(m, values, shared) {
  const [first, last] = spanOf(m, values, shared), width = last - first;
  const low = first + width * look.low / 100;
  return [low, Math.max(first + width * look.high / 100, low + width * 1e-6)];
}

// A canvas with the map alone, in colours.
function mapCanvas(m, values, [low, high]) {
  const canvas = document.createElement("canvas"), { table } = colours[colourNameOf(m)];
  canvas.width = values.width;
  canvas.height = values.height;
  const context = canvas.getContext("2d");
  const picture = context.createImageData(values.width, values.height);
  const words = new Uint32Array(picture.data.buffer), lut = new Uint32Array(65536);
  for (let q = 0; q < 65536; q++) { // little-endian: alpha, blue, green, red
    const v = m.lo + q * (m.hi - m.lo) / 65535;
    const at = 3 * Math.max(0, Math.min(255, Math.floor(256 * (v - low) / (high - low))));
    const alpha = look.hide && v < low ? 0 : 255;
    lut[q] = (alpha << 24 | table[at + 2] << 16 | table[at + 1] << 8 | table[at]) >>> 0;
  }
  for (let i = 0; i < words.length; i++) words[i] = lut[values.numbers[i]];
  context.putImageData(picture, 0, 0);
  return canvas;
}

// Draws a map over its picture. alpha: 0 the picture, 1 the map; wipe: the map is right
// of that share of the width instead.
function paint(canvas, m, values, picture, options) {
  const larger = Math.max(1, Math.ceil(224 / Math.max(values.width, values.height)));
  const width = picture ? picture.naturalWidth : values.width * larger;
  const height = picture ? picture.naturalHeight : values.height * larger;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), { alpha, wipe } = options;
  const layer = mapCanvas(m, values, thresholdsOf(m, values, options.shared));
  context.imageSmoothingEnabled = false;
  if (picture) context.drawImage(picture, 0, 0, width, height);
  if (wipe && picture) {
    context.beginPath();
    context.rect(0, 0, width * alpha, height);
    context.clip();
  } else {
    context.globalAlpha = picture ? alpha : 1;
  }
  context.drawImage(layer, 0, 0, width, height);
}

// How much of the map is over its picture where the reader has not said.
const usualAlpha = m => isOverlay(m) ? 0.5 : 1;

function paintBar(canvas, m) {
  const context = canvas.getContext("2d"), { table } = colours[colourNameOf(m)];
  for (let x = 0; x < canvas.width; x++) {
    const at = 3 * Math.floor(256 * x / canvas.width);
    context.fillStyle = `rgb(${table[at]} ${table[at + 1]} ${table[at + 2]})`;
    context.fillRect(x, 0, 1, canvas.height);
  }
}
