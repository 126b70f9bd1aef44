// Drives the playground in a real browser, every host but this machine out of reach, and prints what it saw as JSON.
// Arguments: the page's address, a folder for pictures, light or dark, then for each step: the title of an operation.
// WIDTH: of the window; below 760 it is a telephone's.
// NETWORK: unset refuses at once, `silent` swallows what it is sent, and a file with {address: file} is a CDN.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [address, pictures, colorScheme, ...names] = process.argv.slice(2);
const width = Number(process.env.WIDTH ?? 1280);
const seen = {
  page: null, outside: [], complaints: [], tabs: [], listed: [], answers: {}, said: {}, lost: "", writes: "",
  schemaDocs: false, keyboard: null, barriers: null, overlaps: null,
};
// A refusal that stands in an item of a bulk is told above the answer, too.
const BULK = `mutation {
  patchSuppliers(items: [{ id: "50000000-0000-4000-8000-000000000002", patch: { vatCode: { code: "NL99" } } }]) {
    results { userErrors { reason outcome } }
  }
}`;
let losing = false; // whether the connection to the gateway is lost

const PATIENCE = 600_000; // milliseconds, on a machine that stands still, too
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  timeout: PATIENCE,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
try {
  const context = await browser.newContext({ colorScheme, viewport: { width, height: width < 760 ? 844 : 860 } });
  context.setDefaultTimeout(PATIENCE);
  // The page itself waits for its files a few seconds; only where none will come is that to end.
  if (process.env.NETWORK !== "silent") {
    await context.addInitScript((patience) => {
      const { setTimeout } = window;
      window.setTimeout = (then, wait, ...given) => setTimeout(then, wait >= 4000 ? patience : wait, ...given);
    }, PATIENCE);
  }
  await context.route("**/*", (route) => {
    const url = new URL(route.request().url());
    if (losing && route.request().method() === "POST") return route.abort("connectionreset");
    if (url.protocol === "data:" || url.hostname === "127.0.0.1") return route.continue();
    seen.outside.push(url.href);
    const network = process.env.NETWORK;
    if (!network) return route.abort("internetdisconnected");
    // Worse than a network that refuses: the page has only its own patience.
    if (network === "silent") return undefined;
    return route.fulfill({
      path: JSON.parse(readFileSync(network, "utf8"))[url.href],
      headers: { "access-control-allow-origin": "*" },
      contentType: url.pathname.endsWith(".css") ? "text/css" : "text/javascript",
    });
  });
  const page = await context.newPage();
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) seen.complaints.push(message.text());
  });
  page.on("pageerror", (error) => seen.complaints.push(String(error)));
  await page.goto(address, { waitUntil: "domcontentloaded" });
  await page.waitForSelector(".graphiql-container, #operation");
  seen.writes = await page.locator("#writes").textContent();
  seen.page = (await page.$(".graphiql-container")) ? "graphiql" : "own";
  await (seen.page === "graphiql" ? graphiql(page) : own(page));
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));

async function graphiql(page) {
  const tabs = page.getByRole("tablist").locator("button[id]");
  const listed = page.locator(".prepared li > button");
  const status = page.locator("#status");
  await listed.first().waitFor();
  await ready();
  seen.tabs = await tabs.allTextContents(); // GraphiQL shows none where there is but one
  seen.first = await page.evaluate(() => document.querySelector(".graphiql-query-editor .CodeMirror").CodeMirror.getValue());
  seen.listed = await listed.evaluateAll((buttons) => buttons.map((button) => button.firstChild.textContent));
  const answer = () => page.evaluate(() => document.querySelector(".result-window .CodeMirror")?.CodeMirror.getValue());
  // Before anything has the focus.
  await page.keyboard.press("Control+Enter");
  await status.waitFor();
  seen.keyboard = (await status.textContent()).startsWith("HTTP 200 · no errors");
  for (const [number, name] of names.entries()) {
    seen.answers[name] = await run(name);
    seen.said[name] = await status.textContent();
    await page.screenshot({ path: `${pictures}/graphiql-${colorScheme}-${number}.png` });
  }
  // A tab that came back without its headers would do something else than it says.
  await page.reload({ waitUntil: "domcontentloaded" });
  await ready();
  seen.afterReload = await run(names.at(-1));
  losing = true;
  await choose(names.at(-1));
  await page.getByRole("button", { name: /^Execute query/ }).click();
  await status.filter({ hasText: "lost" }).waitFor();
  seen.lost = `${await status.textContent()} ${await answer()}`;
  await page.screenshot({ path: `${pictures}/graphiql-${colorScheme}-lost.png` });
  losing = false;
  seen.complaints = seen.complaints.filter((text) => !text.includes("ERR_CONNECTION_RESET"));

  /** The editors come a moment after what is around them. */
  async function ready() {
    await page.waitForFunction(() => {
      const editors = [...document.querySelectorAll(".graphiql-editor, .graphiql-query-editor, .result-window")];
      return editors.length > 2 && editors.every((editor) => editor.querySelector(".CodeMirror")?.CodeMirror);
    });
  }

  async function choose(name) {
    await page.locator(".prepared li > button", { hasText: new RegExp(`^${name.replace(/[()]/g, "\\$&")}`) }).first().click();
  }

  async function run(name) {
    await choose(name);
    const answered = page.waitForResponse((response) => response.request().method() === "POST");
    await page.getByRole("button", { name: /^Execute query/ }).click();
    const { extensions } = (await (await answered).json()).errors?.[0] ?? {};
    await page.waitForFunction(
      (id) => document.querySelector(".result-window .CodeMirror").CodeMirror.getValue().includes(id),
      extensions?.requestId ?? '"data"',
    );
    return JSON.parse(await answer());
  }

  await page.getByRole("button", { name: "Show Documentation Explorer" }).click();
  await page.getByText("Records of Basecone and BokaMera").waitFor();
  await page.screenshot({ path: `${pictures}/graphiql-${colorScheme}-docs.png` });
  await page.getByRole("link", { name: "Mutation" }).first().click();
  await page.getByText("updateBookingCustomer").first().waitFor();
  seen.schemaDocs = true;
}

async function own(page) {
  const select = page.getByLabel("Prepared operation");
  seen.listed = await select.locator("option").allTextContents();
  await page.keyboard.press("Control+Enter");
  await page.getByText(/^HTTP 200 · no errors/).waitFor();
  for (const name of names) {
    await select.selectOption({ label: name });
    await page.getByRole("button", { name: "Run" }).click();
    await page.getByText(/^HTTP \d+/).waitFor();
    seen.said[name] = await page.locator("#status").textContent();
    seen.inReach = await page.evaluate(() =>
      ["run", "status"].every((id) => {
        const { top, bottom } = document.getElementById(id).getBoundingClientRect();
        return top >= 0 && bottom <= innerHeight;
      }),
    );
    seen.answers[name] = JSON.parse(await page.locator("#answer").textContent());
    await page.screenshot({ path: `${pictures}/own-${colorScheme}-${width}-${names.indexOf(name)}.png` });
  }
  seen.overlaps = await page.evaluate(() => {
    const parts = ["#query", "#variables", "#headers", "#status", "#answer", "footer"];
    const boxes = parts.map((part) => document.querySelector(part).getBoundingClientRect());
    const meet = (one, other) =>
      one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
    return parts.flatMap((part, number) =>
      parts.slice(number + 1).filter((_, next) => meet(boxes[number], boxes[number + 1 + next])).map((other) => `${part} ${other}`),
    );
  });
  losing = true;
  await page.getByRole("button", { name: "Run" }).click();
  await page.getByText(/^The connection was lost/).waitFor();
  seen.lost = await page.locator("#status").textContent();
  losing = false;
  await page.screenshot({ path: `${pictures}/own-${colorScheme}-${width}-lost.png` });
  seen.complaints = seen.complaints.filter((text) => !text.includes("ERR_CONNECTION_RESET"));
  await page.evaluate(readFileSync(new URL(import.meta.resolve("axe-core/axe.min.js")), "utf8"));
  const { violations } = await page.evaluate(() => window.axe.run());
  seen.barriers = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(", ")}`);
  // By keyboard alone, with a slip in the variables, then without.
  await page.getByLabel("Variables").fill("{not json");
  await page.keyboard.press("Control+Enter");
  await page.getByText(/^Not usable as JSON/).waitFor();
  await page.screenshot({ path: `${pictures}/own-${colorScheme}-fault.png` });
  await page.getByLabel("Variables").fill("");
  await page.getByLabel("Headers").fill(""); // the last prepared operation simulates a refusal
  await page.getByLabel("Operation", { exact: true }).fill(BULK);
  await page.keyboard.press("Control+Enter");
  await page.getByText(/^HTTP 200 · VAT_CODE_INVALID NOT_APPLIED/).waitFor();
  await page.getByLabel("Operation", { exact: true }).fill("{ __typename }");
  await page.keyboard.press("Control+Enter");
  await page.getByText('"__typename": "Query"').waitFor();
  seen.keyboard = true;
}
