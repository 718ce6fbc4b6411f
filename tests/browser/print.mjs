// What a report would print, never scrolled: node print.mjs ADDRESS. One line of JSON.
import { open } from "./browser.mjs";

const page = await open(process.argv[2]), seen = {};
const count = what => page.eval(`document.querySelectorAll("#rows ${what}").length`);
const size = n => page.eval(`{ const e = document.getElementById("page-size");
  e.value = "${n}"; e.dispatchEvent(new Event("change")); 0 }`);

try {
  await page.wait("document.querySelectorAll('#rows tr').length > 0");
  await size(50);
  await page.wait("thumbs.undrawn().length === 0");
  seen.few = [await count("tr"), await count("canvas")];
  await page.eval("document.getElementById('colormap').value = 'gray'; lookAgain()");
  await page.wait("thumbs.undrawn().length === 0");
  seen.recoloured = await count("canvas");
  await size(1000);
  await page.wait("document.querySelectorAll('#rows canvas').length > 3");
  await page.eval("dispatchEvent(new Event('beforeprint'))");
  seen.all = await count("tr");
  seen.told = [await count("canvas"), await count(".undrawn")];
  await page.eval("dispatchEvent(new Event('afterprint'))");
  seen.left = await count(".undrawn");
  seen.errors = page.errors;
} finally {
  await page.close();
}
console.log(JSON.stringify(seen));
