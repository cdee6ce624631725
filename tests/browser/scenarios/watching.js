// A page with everything that a page of the portal must not have, served here: each fault is noticed, and a page without is
// not complained of.

const http = require('node:http');
const { scenario } = require('../lib/scenario.js');

const POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'";
const page = (body, title = 'A page') =>
  `<!doctype html><html lang="en"><head><meta name="viewport" content="width=device-width"><title>${title}</title></head><body><main><h1>Page</h1>${body}</main></body></html>`;

/** Path, the page, and what its fault is noticed by. */
const FAULTS = [
  ['inline', page('<script>document.title = "run"</script>'), /console: .*Content Security Policy/],
  ['style', page('<p style="color: red">red</p>'), /console: .*Content Security Policy/],
  ['trusted', page('<script src="/trusted.js"></script>'), /console: .*TrustedHTML/],
  ['error', page('<script src="/error.js"></script>'), /console: of itself/],
  ['throws', page('<script src="/throws.js"></script>'), /script: Error: thrown/],
  ['foreign', page('<script src="http://other.example/x.js"></script>'), /request to http:\/\/other\.example/],
  ['missing', page('<script src="/none.js"></script>'), /404 from .*none\.js/],
  ['broken', page('<script src="/fails"></script>'), /500 from .*fails/],
];

const SCRIPTS = {
  '/trusted.js': 'document.querySelector("main").innerHTML = "<b>bold</b>"',
  '/error.js': 'console.error("of itself")',
  '/throws.js': 'throw new Error("thrown")',
};

function serve(request, response) {
  const { pathname } = new URL(request.url, 'http://localhost');
  const fault = FAULTS.find(([name]) => pathname === `/${name}`);
  if (SCRIPTS[pathname]) {
    response.writeHead(200, { 'content-type': 'text/javascript' }).end(SCRIPTS[pathname]);
  } else if (pathname === '/fails') {
    response.writeHead(500).end();
  } else if (pathname === '/none.js') {
    response.writeHead(404).end();
  } else {
    const body = fault?.[1] ?? BODIES[pathname] ?? page('');
    response.writeHead(200, { 'content-type': 'text/html', 'content-security-policy': POLICY }).end(body);
  }
}

const BODIES = {
  '/unlabelled': page('<form><input name="a"></form>'),
  '/wide': page('<pre>' + 'wide'.repeat(200) + '</pre>'),
};

scenario(async (run) => {
  const server = http.createServer(serve).listen(0, '127.0.0.1');
  await new Promise((listening) => server.once('listening', listening));
  run.told.origins = { portal: `http://127.0.0.1:${server.address().port}` };

  const ada = await run.person('ada');
  await run.step('a page without a fault', async () => {
    await ada.open('/good');
    await ada.isAccessible();
  });

  for (const [name, , expected] of FAULTS) {
    await run.step(name, async () => {
      await ada.open(`/${name}`);
      await ada.page.waitForLoadState('networkidle');
      const complaints = ada.complaints.splice(0);
      ada.demand(complaints.length > 0, 'nothing was noticed');
      ada.demand(complaints.some((text) => expected.test(text)), `something else was noticed: ${complaints.join('\n')}`);
    });
  }

  await run.step('what axe must find', async () => {
    await ada.open('/unlabelled');
    const faults = await ada.faults();
    ada.demand(faults.some((fault) => fault.startsWith('label ')), `found: ${faults}`);
  });
  await run.step('a page wider than a phone', async () => {
    const bob = await run.person('bob', { phone: true });
    await bob.open('/wide');
    const faults = await bob.faults();
    bob.demand(faults.some((fault) => fault.startsWith('wider than the window')), `found: ${faults}`);
  });

  await run.step('a status that is not what was expected', async () => {
    const refused = await ada.open('/good', 404).catch((error) => error.message);
    ada.demand(/answers 200, not 404/.test(refused), refused);
  });
  await run.step('without scripts none is run', async () => {
    const eve = await run.person('eve', { noScript: true });
    await eve.open('/error');
  });
  await run.step('questions are answered', async () => {
    const twice = await run.ask('double', { number: 1 });
    ada.demand(twice === 2, `told ${twice}`);
  });
  server.close();
});
