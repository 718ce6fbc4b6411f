// Runs ONNX files in ONNX Runtime: node ort.js [JOBS.json], with NODE_PATH set. Without a
// name it reads names, a line each, and writes "done" to descriptor 3 after each.
// JOBS: [{ model, inputs: { name: { type, dims, file } }, out, times }]; writes out.json,
// and out.N.bin with the float32 values of output N. times: runs that are timed (1 thread).
const fs = require('fs'), readline = require('readline'), ort = require('onnxruntime-node');
const kinds = { float32: Float32Array, int64: BigInt64Array };

function tensor(spec) {
  const bytes = new Uint8Array(fs.readFileSync(spec.file)).buffer;
  return new ort.Tensor(spec.type, new kinds[spec.type](bytes), spec.dims);
}

async function run(job) {
  const session = await ort.InferenceSession.create(job.model, {
    intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 4 });
  const feed = {};
  for (const name in job.inputs) feed[name] = tensor(job.inputs[name]);
  let result = await session.run(feed);
  const ms = [];
  for (let i = 0; i < (job.times || 0); i++) {
    const start = process.cpuUsage();
    result = await session.run(feed);
    const used = process.cpuUsage(start);
    ms.push((used.user + used.system) / 1e3);
  }
  const outputs = {};
  session.outputNames.forEach((name, i) => {
    const file = `${job.out}.${i}.bin`;
    const values = Float32Array.from(result[name].data, Number);
    fs.writeFileSync(file, Buffer.from(values.buffer));
    outputs[name] = { dims: result[name].dims, file };
  });
  await session.release();
  return { outputs, ms };
}

async function all(jobs) {
  for (const job of JSON.parse(fs.readFileSync(jobs))) {
    let answer;
    try {
      answer = await run(job);
    } catch (e) {
      answer = { error: String(e.message || e).slice(0, 600) };
    }
    fs.writeFileSync(job.out + '.json', JSON.stringify(answer));
  }
}

(async () => {
  if (process.argv[2]) return all(process.argv[2]);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    await all(line);
    fs.writeSync(3, 'done\n');
  }
})();
