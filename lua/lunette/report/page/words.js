// Words of the page's language, and numbers as people read them.
const say = word => index.words[word] || word;

function numberText(v) {
  if (v === 0) return "0";
  const size = Math.abs(v);
  const text = size >= 1e5 || size < 1e-3 ? v.toExponential(3) : String(+v.toPrecision(4));
  return text.replace("-", "−");
}

function percentText(p) {
  if (p > 0 && p < 0.00005) return "< 0.01 %";
  return (100 * p).toFixed(p >= 0.0995 ? 1 : 2) + " %";
}

// An element with text, attributes and children. Text is never read as HTML.
function make(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  e.append(...children);
  return e;
}

// Text from a file: its direction is its own.
const outside = text => make("bdi", {}, text);

// A file's name, which may be broken behind its signs, not within its words.
function fileName(name) {
  const parts = name.split(/(?<=[_.\-/\\])(?=[^_.\-/\\])/);
  return make("bdi", {}, ...parts.flatMap((part, i) => i ? [make("wbr"), part] : [part]));
}

function classText(m) {
  if (m.classId === null) return say("no class");
  return m.className;
}

function jobText(m) {
  const j = m.job;
  return [j.method, j.layer, j.rules, j.options].filter(s => s).join(" ");
}

const mapText = m => `${jobText(m)}: ${classText(m)}, ${m.picture.name}`;
