// ONNX Runtime's worker of tests/bench/zoo.py: as zoo.lua, forward alone.
const fs = require('fs'), ort = require('onnxruntime-node');
const threads = Number(process.env.OMP_NUM_THREADS), clock = process.env.BENCH_CLOCK === '1';

function picture(dims) { // tests/zoo/write.py's formula
  const x = new Float32Array(dims.reduce((a, b) => a * b, 1));
  for (let i = 0; i < x.length; i++) {
    const v = Math.sin(i * 12.9898 + 1001 * 78.233) * 43758.5453;
    x[i] = (v - Math.floor(v)) * 2 - 1;
  }
  return new ort.Tensor('float32', x, dims);
}

function now() {
  if (clock) return performance.now();
  const c = process.cpuUsage();
  return (c.user + c.system) / 1e3;
}

(async () => {
  const session = await ort.InferenceSession.create(process.argv[2], {
    intraOpNumThreads: threads, interOpNumThreads: 1, logSeverityLevel: 3,
    graphOptimizationLevel: 'all' });
  const feed = { [session.inputNames[0]]: picture([1, 3, 224, 224]) };
  const run = async () => (await session.run(feed))[session.outputNames[0]].data;
  const lines = require('readline').createInterface({ input: process.stdin });
  for await (const line of lines) {
    const [command, , path] = line.split(' ');
    if (command === 'write') {
      fs.writeFileSync(path, Buffer.from((await run()).buffer.slice(0)));
      console.log('ok');
    } else {
      const start = now();
      await run();
      console.log((now() - start).toFixed(3));
    }
  }
})();
