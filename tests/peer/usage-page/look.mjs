// Opens a page in a headless Chromium and prints what is to be seen of it as JSON.
//
//   node look.mjs CHROMIUM PAGE.html AXE.js PROFILE_FOLDER [SCREENSHOT_PREFIX]
//
// The browser is spoken to over a pipe (DevTools protocol): no port, no other program.
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [chromium, file, axe, profile, screenshots] = process.argv.slice(2);
const url = pathToFileURL(file).href;
const START = 60_000;
const ANSWER = 240_000;

class Browser {
  constructor(folder) {
    const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
      "--mute-audio", "--force-color-profile=srgb", "--font-render-hinting=none", "--remote-debugging-pipe",
      `--user-data-dir=${folder}`, "about:blank"];
    this.process = spawn(chromium, flags, { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"] });
    this.said = "";
    this.process.stderr.on("data", (data) => (this.said = (this.said + data).slice(-4000)));
    this.waiting = new Map();
    this.events = [];
    this.serial = 0;
    let rest = "";
    this.process.stdio[4].on("data", (data) => {
      const parts = (rest + data).split("\0");
      rest = parts.pop();
      for (const part of parts) this.hear(JSON.parse(part));
    });
    this.ended = new Promise((_, reject) => {
      this.process.on("error", reject);
      this.process.on("exit", (code) => reject(new Error(`the browser ended with ${code}: ${this.said}`)));
    });
    this.ended.catch(() => {});
    this.process.stdio[3].on("error", () => {});
  }
  hear(message) {
    if (message.id !== undefined) {
      const { resolve, reject } = this.waiting.get(message.id);
      this.waiting.delete(message.id);
      if (message.error) reject(new Error(JSON.stringify(message.error)));
      else resolve(message.result);
    } else {
      this.events.push(message);
    }
  }
  within(promise, time, what) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${what}: no answer in ${time} ms; ${this.said}`)), time);
    });
    return Promise.race([promise, late, this.ended]).finally(() => clearTimeout(timer));
  }
  ask(method, params = {}, time = ANSWER) {
    const id = ++this.serial;
    const answer = new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    this.process.stdio[3].write(JSON.stringify({ id, method, params, sessionId: this.session }) + "\0");
    return this.within(answer, time, method);
  }
  async open() {
    const { targetId } = await this.ask("Target.createTarget", { url: "about:blank" }, START);
    this.session = (await this.ask("Target.attachToTarget", { targetId, flatten: true }, START)).sessionId;
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await this.ask(`${domain}.enable`);
    await this.ask("Emulation.setFocusEmulationEnabled", { enabled: true });
  }
  async load() {
    // It answers when the new document has taken the place of the old one.
    await this.ask("Page.navigate", { url });
    const complete = `document.readyState === "complete" && location.href.startsWith(${JSON.stringify(url)})`;
    for (const until = Date.now() + ANSWER; !(await this.evaluate(complete).catch(() => false)); ) {
      if (Date.now() > until) throw new Error(`the page was not loaded in ${ANSWER} ms`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await this.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))");
  }
  async evaluate(expression) {
    const params = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = await this.ask("Runtime.evaluate", params);
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }
  async press(key, modifiers = 0) {
    const params = { key, code: key, windowsVirtualKeyCode: key === "Tab" ? 9 : 13, modifiers };
    await this.ask("Input.dispatchKeyEvent", { type: "rawKeyDown", ...params });
    await this.ask("Input.dispatchKeyEvent", { type: "keyUp", ...params });
  }
  look(scheme, width, height) {
    const features = [{ name: "prefers-color-scheme", value: scheme }];
    const metrics = { width, height, deviceScaleFactor: 1, mobile: false };
    return this.ask("Emulation.setEmulatedMedia", { features }).then(() => this.ask("Emulation.setDeviceMetricsOverride", metrics));
  }
  /** Has it end by itself, so that its own processes end, too. */
  async close() {
    const exited = new Promise((resolve) => this.process.once("exit", resolve));
    this.session = undefined;
    await this.ask("Browser.close", {}, 10_000).catch(() => {});
    const late = setTimeout(() => this.process.kill("SIGKILL"), 10_000);
    if (this.process.exitCode === null && this.process.signalCode === null) await exited;
    clearTimeout(late);
  }
}

/** Starting a browser on a busy machine may fail once. */
async function start() {
  for (let attempt = 1; ; attempt += 1) {
    const folder = `${profile}/${attempt}`;
    const browser = new Browser(folder);
    try {
      await browser.open();
      return browser;
    } catch (error) {
      await browser.close();
      if (attempt === 3) throw error;
    }
  }
}

const FOCUSED = `(() => {
  const element = document.activeElement;
  const style = getComputedStyle(element);
  const tip = element.querySelector(".tip")?.getBoundingClientRect();
  return {
    kind: element.className || element.tagName,
    name: element.textContent.trim().slice(0, 200),
    outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    tip: tip ? tip.width > 40 && tip.height > 10 && tip.left >= 0 && tip.right <= innerWidth : null,
  };
})()`;

// Text over shapes, which axe cannot judge: the least contrast of a label on its tile, by WCAG's formula.
const CONTRAST = `(() => {
  const channels = (color) => color.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const luminance = (color) => {
    const [r, g, b] = channels(color).map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => { const [x, y] = [luminance(a), luminance(b)].sort(); return (y + 0.05) / (x + 0.05); };
  const all = [...document.querySelectorAll(".tile")].flatMap((tile) => {
    const filled = tile.classList.contains("goes") ? ".hatch-base" : "rect." + tile.classList[1];
    const fill = getComputedStyle(document.querySelector(filled)).fill;
    return [tile, ...tile.querySelectorAll(".mark")].map((text) => contrast(getComputedStyle(text).color, fill));
  });
  return all.length ? Math.min(...all) : null;
})()`;

const SORTED = `(() => {
  const table = document.querySelector("#patterns ~ .scroll table");
  if (!table) return null;
  const sizes = () => [...table.tBodies[0].rows].map((row) => Number(row.children[2].dataset.sort));
  const before = sizes();
  const button = table.querySelectorAll("thead button")[2];
  button.click();
  button.click();
  return { before, after: sizes(), state: button.parentNode.getAttribute("aria-sort") };
})()`;

const seen = { console: [], requests: [], overflow: {}, focus: [], violations: {}, contrast: {}, sorted: null };
const browser = await start();
try {
  for (const scheme of ["light", "dark"]) {
    for (const width of [1280, 390]) {
      await browser.look(scheme, width, 900);
      await browser.load();
      seen.overflow[`${scheme} ${width}`] =
        await browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
      if (screenshots) {
        const pictures = "Math.ceil(document.querySelector('.line')?.getBoundingClientRect().bottom + scrollY + 24) || 900";
        const height = await browser.evaluate(pictures);
        const clip = { x: 0, y: 0, width, height, scale: 1 };
        const { data } = await browser.ask("Page.captureScreenshot", { format: "png", clip, captureBeyondViewport: true });
        writeFileSync(`${screenshots}-${scheme}${width < 500 ? "-narrow" : ""}.png`, Buffer.from(data, "base64"));
      }
    }
  }
  await browser.look("light", 1280, 900);
  await browser.load();
  for (let count = 0; count < 400; count += 1) {
    await browser.press("Tab");
    const focused = await browser.evaluate(FOCUSED);
    if (focused.kind === "BODY") break;
    seen.focus.push(focused);
  }
  seen.sorted = await browser.evaluate(SORTED);
  // What was said and asked for so far is the page's own doing; axe comes after.
  for (const { method, params } of browser.events) {
    if (method === "Runtime.consoleAPICalled") seen.console.push(params.args.map((arg) => arg.value ?? arg.description).join(" "));
    if (method === "Runtime.exceptionThrown") seen.console.push(params.exceptionDetails.text);
    if (method === "Log.entryAdded") seen.console.push(params.entry.text);
    if (method === "Network.requestWillBeSent" && params.request.url.split("#")[0] !== url) seen.requests.push(params.request.url);
  }
  const source = readFileSync(axe, "utf8");
  for (const scheme of ["light", "dark"]) {
    for (const width of [1280, 390]) {
      await browser.look(scheme, width, 900);
      await browser.load();
      if (width === 1280) seen.contrast[scheme] = await browser.evaluate(CONTRAST);
      await browser.evaluate(source);
      const { violations } = JSON.parse(await browser.evaluate("axe.run().then((found) => JSON.stringify(found))"));
      seen.violations[`${scheme} ${width}`] = violations.map(({ id, help, nodes }) =>
        `${id}: ${help}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 200)} (${node.any.concat(node.all, node.none).map((check) => check.message).join("; ")})`).join(" | ")}`);
    }
  }
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}
process.exit(0);
