// Headless Chromium by its DevTools protocol over a pipe; needs nothing but Node.
//   const page = await open("file:///a.html", { width: 1280, height: 900, dark: false });
//   await page.eval("document.title"); await page.shot("a.png"); await page.close();
import { spawn } from "child_process";
import fs from "fs";
import os from "os";
import path from "path";

// One line of the protocol is a JSON text that ends with a zero byte.
function connect(browser) {
  const [, , , output, input] = browser.stdio, waiting = new Map(), listeners = [];
  let count = 0, rest = "";
  input.setEncoding("utf8");
  input.on("data", text => {
    const parts = (rest + text).split("\0");
    rest = parts.pop();
    for (const part of parts) {
      const message = JSON.parse(part), wait = waiting.get(message.id);
      waiting.delete(message.id);
      if (wait) message.error ? wait.fail(new Error(message.error.message))
        : wait.done(message.result);
      else for (const f of listeners) f(message);
    }
  });
  return {
    listeners,
    send: (method, params = {}, sessionId = undefined) => new Promise((done, fail) => {
      waiting.set(++count, { done, fail });
      output.write(JSON.stringify({ id: count, method, params, sessionId }) + "\0");
    }),
  };
}

function start(folder) {
  return spawn(process.env.CHROMIUM || "chromium", ["--headless=new", "--no-sandbox",
    "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe",
    "--no-first-run", "--hide-scrollbars", "--user-data-dir=" + folder, "about:blank"],
    { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
      env: { ...process.env, HOME: folder, XDG_CONFIG_HOME: folder,
             XDG_CACHE_HOME: folder } });
}

export const pause = ms => new Promise(done => setTimeout(done, ms));

export async function open(address, options = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "chromium-"));
  const browser = start(folder), pipe = connect(browser);
  const { targetId } = await pipe.send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await pipe.send("Target.attachToTarget",
    { targetId, flatten: true });
  const send = (method, params) => pipe.send(method, params, sessionId);
  const page = { asked: [], errors: [], send };

  pipe.listeners.push(({ method, params }) => {
    if (method === "Network.requestWillBeSent") page.asked.push(params.request.url);
    if (method === "Runtime.exceptionThrown") {
      const d = params.exceptionDetails;
      page.errors.push((d.exception && d.exception.description) || d.text);
    }
    if (method === "Log.entryAdded" && params.entry.level === "error") {
      page.errors.push(params.entry.text);
    }
    if (method === "Page.javascriptDialogOpening") page.errors.push("dialog");
  });

  page.eval = async expression => {
    const { result, exceptionDetails: wrong } = await send("Runtime.evaluate",
      { expression, awaitPromise: true, returnByValue: true });
    if (wrong) throw new Error((wrong.exception && wrong.exception.description) || wrong.text);
    return result.value;
  };
  page.wait = async (expression, ms = 15000) => {
    for (const end = Date.now() + ms; Date.now() < end; await pause(30)) {
      if (await page.eval(expression)) return;
    }
    throw new Error("waited in vain for " + expression);
  };
  page.shot = async (file, whole = false) => {
    const { data } = await send("Page.captureScreenshot",
      { format: "png", captureBeyondViewport: whole });
    fs.writeFileSync(file, Buffer.from(data, "base64"));
  };
  page.pdf = async file => {
    const { data } = await send("Page.printToPDF", { printBackground: true });
    fs.writeFileSync(file, Buffer.from(data, "base64"));
  };
  page.key = async key => {
    for (const type of ["keyDown", "keyUp"]) {
      await send("Input.dispatchKeyEvent", { type, key, code: key,
        windowsVirtualKeyCode: { Escape: 27, Enter: 13, ArrowLeft: 37, ArrowRight: 39,
                                 Tab: 9 }[key],
        text: type === "keyDown" && key.length === 1 ? key : undefined });
    }
  };
  page.mouse = (type, x, y, more = {}) =>
    send("Input.dispatchMouseEvent", { type, x, y, ...more });
  page.theme = dark => send("Emulation.setEmulatedMedia", { features: [
    { name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
  page.size = (width, height, scale = 1) => send("Emulation.setDeviceMetricsOverride",
    { width, height, deviceScaleFactor: scale, mobile: width < 600 });
  page.go = async url => {
    const begun = Date.now();
    await send("Page.navigate", { url });
    await page.wait("location.href !== 'about:blank' && document.readyState !== 'loading'",
      60000);
    return Date.now() - begun;
  };
  page.close = async () => {
    await pipe.send("Browser.close").catch(() => {});
    await new Promise(done => browser.exitCode !== null ? done()
      : browser.on("exit", done));
    fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };

  for (const name of ["Page", "Runtime", "Network", "Log"]) await send(name + ".enable");
  await page.size(options.width || 1280, options.height || 900);
  await page.theme(options.dark || false);
  page.opened = await page.go(address);
  return page;
}
