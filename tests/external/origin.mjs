// Opens a page of another origin in a real browser, which changes a supplier twice under one idempotency key.
// Nothing is intercepted, so that the browser itself asks and judges. Prints both answers and what was sent.
// Arguments: the page's address, the gateway's endpoint, the variables of the change as JSON, the key.
import { chromium } from "playwright-core";

const [address, endpoint, variables, key] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  timeout: 600_000,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(600_000);
  const network = await page.context().newCDPSession(page);
  const requests = new Map();
  const of = (id) => requests.get(id) ?? requests.set(id, {}).get(id);
  network.on("Network.requestWillBeSent", ({ requestId, request, initiator }) =>
    Object.assign(of(requestId), { url: request.url, method: request.method, initiator: initiator.type }),
  );
  network.on("Network.requestWillBeSentExtraInfo", ({ requestId, headers }) =>
    Object.assign(of(requestId), { headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])) }),
  );
  await network.send("Network.enable");
  await page.goto(address);
  const change = () => page.evaluate((given) => window.change(...given), [endpoint, JSON.parse(variables), key]);
  const answers = [await change(), await change()];
  const sent = [...requests.values()].filter(({ url }) => url === endpoint);
  console.log(JSON.stringify({ answers, sent }));
} finally {
  await browser.close();
}
