// Opens examples/onnx/page.html in headless Chromium and gives it a model and a picture:
//   node page.mjs FOLDER MODEL PICTURE [SCREENSHOT]
// FOLDER has the page and the files of onnxruntime-web that it names. Prints what the page
// says, then every address that it asked for. Of npm: puppeteer-core, @sparticuz/chromium.
import fs from 'fs';
import http from 'http';
import { createRequire } from 'module';

const require = createRequire(process.env.NODE_PATH + '/');
const chromium = (await import(require.resolve('@sparticuz/chromium'))).default;
const puppeteer = (await import(require.resolve('puppeteer-core'))).default;
const [folder, model, picture, screenshot] = process.argv.slice(2);
const kinds = { html: 'text/html', js: 'text/javascript', mjs: 'text/javascript',
                wasm: 'application/wasm' };

const server = http.createServer((request, answer) => {
  const file = folder + new URL(request.url, 'http://x').pathname;
  if (!fs.existsSync(file)) return answer.writeHead(404).end();
  answer.writeHead(200, { 'content-type': kinds[file.split('.').pop()] || 'text/plain' });
  answer.end(fs.readFileSync(file));
});
await new Promise(done => server.listen(0, '127.0.0.1', done));

const browser = await puppeteer.launch({ executablePath: await chromium.executablePath(),
  args: [...chromium.args, '--no-sandbox'], headless: 'shell' });
const page = await browser.newPage(), asked = [];
page.on('request', request => asked.push(request.url()));
await page.goto(`http://127.0.0.1:${server.address().port}/page.html`);
await (await page.$('#model')).uploadFile(model);
await (await page.$('#picture')).uploadFile(picture);
const said = () => page.$eval('#said', e => e.textContent);
await page.waitForFunction(() => !/^(Choose|Working)/.test(
  document.getElementById('said').textContent), { timeout: 100000 });
console.log(await said());
console.log(asked.join('\n'));
if (screenshot) await page.screenshot({ path: screenshot });
await browser.close();
server.close();
