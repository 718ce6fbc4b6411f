// A file of `lunette bake` explains a picture in ONNX Runtime: no Lua, no gradient.
//   npm install onnxruntime-node
//   node explain.js BAKED.onnx PICTURE.bmp MAP.pgm        (24 bits a pixel, uncompressed)
process.env.ORT_DISABLE_TELEMETRY = '1';  // nothing leaves the machine
const fs = require('fs'), ort = require('onnxruntime-node');
const [file, picture, out] = process.argv.slice(2);

// A value of the file's metadata: key and value are neighbours in it.
function metadata(key) {
  const bytes = fs.readFileSync(file), mark = Buffer.from('\x0a' + String.fromCharCode(key.length) + key + '\x12', 'latin1');
  let at = bytes.indexOf(mark) + mark.length, size = 0, shift = 0, byte;
  if (at < mark.length) return null;
  do { byte = bytes[at++]; size += (byte & 127) * 2 ** shift; shift += 7; } while (byte & 128);
  return JSON.parse(bytes.toString('utf8', at, at + size));
}

// Rows from the top, red green blue.
function readBmp(path) {
  const b = fs.readFileSync(path), width = b.readInt32LE(18), height = b.readInt32LE(22);
  if (b.toString('latin1', 0, 2) !== 'BM' || b.readUInt16LE(28) !== 24) throw Error(path + ': no BMP of 24 bits');
  const rows = Math.abs(height), stride = (width * 3 + 3) & ~3, from = b.readUInt32LE(10);
  return { width, height: rows, at: (y, x, c) =>
    b[from + (height > 0 ? rows - 1 - y : y) * stride + x * 3 + 2 - c] };
}

// (1,3,H,W) as the network takes it, stretched to the nearest pixel.
function tensor(image, [, channels, height, width], how) {
  const data = new Float32Array(channels * height * width);
  for (let c = 0, i = 0; c < channels; c++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++, i++) {
        const value = image.at(Math.floor(y * image.height / height), Math.floor(x * image.width / width),
                               how.order === 'bgr' ? 2 - c : c);
        data[i] = (value * how.scale - how.mean[c]) / how.std[c];
      }
  return new ort.Tensor('float32', data, [1, channels, height, width]);
}

(async () => {
  const session = await ort.InferenceSession.create(file);
  const shape = session.inputMetadata[0].shape;
  const feed = { input: tensor(readBmp(picture), shape, metadata('preprocessing_spec')) };
  const result = await session.run(feed), names = metadata('class_names');
  if (result.class) console.log('class', Number(result.class.data[0]), names ? names[Number(result.class.data[0])] : '');
  const [, height, width] = result.map.dims, values = result.map.data.slice(0, height * width);
  const most = values.reduce((a, b) => Math.max(a, b), 1e-30);
  fs.writeFileSync(out, Buffer.concat([Buffer.from(`P5\n${width} ${height}\n255\n`),
    Buffer.from(Uint8Array.from(values, v => Math.max(0, 255 * v / most)))]));
  console.log(`wrote ${out} (${width}x${height})`);
})();
