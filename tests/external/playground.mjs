// Drives the playground in a real browser, every host but this machine out of reach, and prints what it saw as JSON.
// Arguments: the page's address, a folder for pictures, light or dark, then for each step: the name of a tab.
import { chromium } from "playwright-core";

const [address, pictures, colorScheme, ...names] = process.argv.slice(2);
const seen = { page: null, blocked: [], complaints: [], tabs: [], answers: {}, schemaDocs: false, keyboard: null };

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
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
  const context = await browser.newContext({ colorScheme, viewport: { width: 1440, height: 860 } });
  await context.route("**/*", (route) => {
    const url = new URL(route.request().url());
    if (url.protocol === "data:" || url.hostname === "127.0.0.1") return route.continue();
    seen.blocked.push(url.href);
    // A network that swallows what it is sent is worse than one that refuses: the page has only its own patience.
    if (process.env.NETWORK !== "silent") return route.abort("internetdisconnected");
  });
  const page = await context.newPage();
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) seen.complaints.push(message.text());
  });
  page.on("pageerror", (error) => seen.complaints.push(String(error)));
  await page.goto(address, { waitUntil: "domcontentloaded" });
  await page.waitForSelector(".graphiql-container, #operation");
  seen.page = (await page.$(".graphiql-container")) ? "graphiql" : "own";
  await (seen.page === "graphiql" ? graphiql(page) : own(page));
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));

async function graphiql(page) {
  const tabs = page.getByRole("tablist").locator("button[id]");
  seen.tabs = await tabs.allTextContents();
  const answer = () => page.evaluate(() => document.querySelector(".result-window .CodeMirror")?.CodeMirror.getValue());
  for (const name of names) {
    await tabs.filter({ hasText: new RegExp(`^${name}$`) }).click();
    const answered = page.waitForResponse((response) => response.request().postData()?.includes(name));
    await page.getByRole("button", { name: /^Execute query/ }).click();
    await answered;
    await page.waitForFunction(() =>
      document.querySelector(".result-window .CodeMirror")?.CodeMirror.getValue().endsWith("}"),
    );
    seen.answers[name] = JSON.parse(await answer());
    await page.screenshot({ path: `${pictures}/graphiql-${colorScheme}-${name}.png` });
  }
  await page.getByRole("button", { name: "Show Documentation Explorer" }).click();
  await page.getByRole("link", { name: "Mutation" }).first().click();
  await page.getByText("updateBookingCustomer").first().waitFor();
  seen.schemaDocs = true;
  await page.screenshot({ path: `${pictures}/graphiql-${colorScheme}-docs.png` });
}

async function own(page) {
  const select = page.getByLabel("Prepared operation");
  seen.tabs = await select.locator("option").allTextContents();
  for (const name of names) {
    await select.selectOption({ label: name });
    await page.getByRole("button", { name: "Run" }).click();
    await page.getByText(/^HTTP \d+/).waitFor();
    seen.answers[name] = JSON.parse(await page.locator("#answer").textContent());
    await page.screenshot({ path: `${pictures}/own-${colorScheme}-${names.indexOf(name)}.png` });
  }
  // By keyboard alone, with a slip in the variables, then without.
  await page.getByLabel("Variables").fill("{not json");
  await page.keyboard.press("Control+Enter");
  await page.getByText(/^Not usable as JSON/).waitFor();
  await page.screenshot({ path: `${pictures}/own-${colorScheme}-fault.png` });
  await page.getByLabel("Operation", { exact: true }).fill("{ __typename }");
  await page.getByLabel("Variables").fill("");
  await page.keyboard.press("Control+Enter");
  await page.getByText('"__typename": "Query"').waitFor();
  seen.keyboard = true;
}
