// Values of maps: PNG files of 16-bit grey, read here because a browser's own reader
// keeps 8 bits of them.

function bytesOf(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Of left (a), above (b) and above left (c) the one nearest to a + b - c.
function paeth(a, b, c) {
  const pa = Math.abs(b - c), pb = Math.abs(a - c), pc = Math.abs(a + b - 2 * c);
  if (pa <= pb && pa <= pc) return a;
  return pb <= pc ? b : c;
}

// Undoes the filters of PNG in place: a row begins with the number of its filter.
function unfilter(data, width, height) {
  const row = 2 * width, stride = row + 1, zero = new Uint8Array(row);
  let above = zero;
  for (let y = 0; y < height; y++) {
    const filter = data[y * stride];
    const line = data.subarray(y * stride + 1, (y + 1) * stride);
    for (let i = 0; i < row; i++) {
      const a = i < 2 ? 0 : line[i - 2], b = above[i], c = i < 2 ? 0 : above[i - 2];
      if (filter === 1) line[i] += a;
      else if (filter === 2) line[i] += b;
      else if (filter === 3) line[i] += (a + b) >> 1;
      else if (filter === 4) line[i] += paeth(a, b, c);
    }
    above = line;
  }
}

// The numbers 0 .. 65535 of a file that has one block of data, as Lunette writes it.
async function readPng16(base64) {
  const bytes = bytesOf(base64), view = new DataView(bytes.buffer);
  const width = view.getUint32(16), height = view.getUint32(20);
  const size = view.getUint32(33), packed = bytes.subarray(41, 41 + size);
  const data = await inflate(packed), numbers = new Uint16Array(width * height);
  unfilter(data, width, height);
  for (let y = 0, k = 0; y < height; y++) {
    for (let x = 0, at = y * (2 * width + 1) + 1; x < width; x++, k++, at += 2) {
      numbers[k] = data[at] << 8 | data[at + 1];
    }
  }
  return { width, height, numbers };
}
