// Opens examples/onnx/page.html in headless Chromium and gives it a model and a picture:
//   node page.mjs FOLDER MODEL PICTURE [SCREENSHOT]
// FOLDER has the page and the files of onnxruntime-web that it names. Prints what the page
// says, then every address that it asked for.
import fs from "fs";
import http from "http";
import { open } from "../browser/browser.mjs";

const [folder, model, picture, screenshot] = process.argv.slice(2);
const kinds = { html: "text/html", js: "text/javascript", mjs: "text/javascript",
                wasm: "application/wasm" };

const server = http.createServer((request, answer) => {
  const file = folder + new URL(request.url, "http://x").pathname;
  if (!fs.existsSync(file)) return answer.writeHead(404).end();
  answer.writeHead(200, { "content-type": kinds[file.split(".").pop()] || "text/plain" });
  answer.end(fs.readFileSync(file));
});
await new Promise(done => server.listen(0, "127.0.0.1", done));
const page = await open(`http://127.0.0.1:${server.address().port}/page.html`);

async function choose(id, file) {
  const { result } = await page.send("Runtime.evaluate",
    { expression: `document.getElementById("${id}")` });
  await page.send("DOM.setFileInputFiles", { files: [file], objectId: result.objectId });
}

try {
  await choose("model", model);
  await choose("picture", picture);
  const said = "document.getElementById('said').textContent";
  await page.wait(`!/^(Choose|Working)/.test(${said})`, 100000);
  console.log(await page.eval(said));
  console.log(page.asked.join("\n"));
  if (screenshot) await page.shot(screenshot);
} finally {
  await page.close();
  server.close();
}
