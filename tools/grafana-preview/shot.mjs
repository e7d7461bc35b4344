// Draws dashboards with Grafana's own libraries against a live Prometheus and takes a picture of each.
// node shot.mjs DIST PROMETHEUS_URL SCRAPE_SECONDS OUT_DIRECTORY DASHBOARD.json ...
// Prints for each {name, errors, queries: [{refId, expr, series, error}]}; ends with 1 on any error or empty query.
import puppeteer from 'puppeteer-core';
import fs from 'fs';
import http from 'http';
import path from 'path';

const [root, prometheus, scrape, out, ...dashboards] = process.argv.slice(2);
const ROW = 38; // pixels of a grid row, its gap included
const types = { '.js': 'text/javascript', '.css': 'text/css', '.html': 'text/html', '.svg': 'image/svg+xml' };
const types_of = (file) => types[path.extname(file)] || 'application/octet-stream';

const server = http
  .createServer((request, response) => {
    const name = decodeURIComponent(request.url.split('?')[0]);
    const given = /^\/dashboard\/(\d+)$/.exec(name);
    const file = given ? dashboards[given[1]] : path.join(root, name.endsWith('/') ? name + 'index.html' : name);
    fs.readFile(file, (error, body) => {
      response.writeHead(error ? 404 : 200, { 'content-type': types_of(file) });
      response.end(error ? '' : body);
    });
  })
  .listen(0, '127.0.0.1');
await new Promise((ready) => server.once('listening', ready));
const browser = await puppeteer.launch({
  executablePath: '/usr/bin/chromium',
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run'],
});

// Until every query has an answer and none has been asked for a while.
async function settled(page) {
  let before = '';
  for (let quiet = 0, tries = 0; quiet < 4 && tries < 120; tries += 1) {
    await new Promise((done) => setTimeout(done, 500));
    const now = await page.evaluate(() => JSON.stringify([window.__queries, window.__errors]));
    quiet = now === before && now !== '[[],[]]' ? quiet + 1 : 0;
    before = now;
  }
}

let failed = false;
const report = [];
for (const [index, file] of dashboards.entries()) {
  const { panels } = JSON.parse(fs.readFileSync(file));
  const height = 140 + ROW * Math.max(...panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  const page = await browser.newPage();
  await page.setViewport({ width: 1400, height });
  const name = path.basename(file, '.json');
  const query = new URLSearchParams({ dash: `./dashboard/${index}`, prom: prometheus, scrape });
  await page.goto(`http://127.0.0.1:${server.address().port}/?${query}`, { waitUntil: 'load' });
  await settled(page);
  await page.screenshot({ path: path.join(out, `dashboard-${name}.png`) });
  const seen = await page.evaluate(() => ({ errors: window.__errors ?? [], queries: window.__queries ?? [] }));
  const bad = seen.queries.filter((asked) => asked.error || !(asked.series ?? asked.values));
  failed ||= seen.errors.length > 0 || bad.length > 0 || seen.queries.length === 0;
  report.push({ name, errors: seen.errors, bad, queries: seen.queries.length });
  await page.close();
}
console.log(JSON.stringify(report, null, 1));
await browser.close();
server.close();
process.exit(failed ? 1 : 0);
