// When the first page of a Team is painted (Paint Timing, W3C), with nothing of it in the browser's cache.

const { scenario } = require('../lib/scenario.js');
const { signIn } = require('../lib/portal.js');

scenario(async (run) => {
  const { email, path, times } = run.told;
  const ada = await run.person('ada');
  await run.step('somebody signs in', () => signIn(ada, email));
  const browser = await ada.context.newCDPSession(ada.page);
  const paint = async () => {
    await browser.send('Network.clearBrowserCache');
    await ada.open(path);
    const painted = () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime;
    return (await ada.page.waitForFunction(painted)).jsonValue();
  };
  await run.step('their page is painted', async () => {
    // The first ones start the browser's own parts.
    for (let warm = 0; warm < 3; warm += 1) await paint();
    for (let time = 0; time < times; time += 1) await run.ask('painted', { ms: await paint() });
  });
});
