// Connecting a seller where Amazon asks the portal first who is there: by the application's log-in URI.

const { scenario } = require('../lib/scenario.js');
const { join } = require('../lib/portal.js');

scenario(async (run) => {
  const { owner, member, team, sellers } = run.told;
  const { amazon, portal } = run.told.origins;
  const ada = await run.person('ada');

  const page = await run.step('Amazon sends one to a page that does nothing by being opened', async () => {
    await join(ada, owner, team);
    await ada.open(`${team}/connections/new`);
    await ada.fill('Name', 'By the log-in URI');
    await ada.page.getByRole('radio', { name: 'North America' }).check();
    await ada.page.getByRole('checkbox', { name: /United States/ }).check();
    await ada.press('Continue to Amazon');
    await ada.page.waitForURL(`${amazon}/**`);
    await ada.page.getByLabel(/seller/i).selectOption(sellers[0]);
    await ada.press('Authorize');
    await ada.page.waitForURL(`${portal}/amazon/login?**`);
    await ada.sees('By the log-in URI');
    await ada.isAccessible();
    await ada.shot('amazon-login');
    return ada.page.url();
  });
  await run.step('who did not begin it has nothing to go on with', async () => {
    const ben = await run.person('ben');
    await join(ben, member, team);
    await ben.open(page);
    await ben.sees('Start from your Team');
    await ben.isAccessible();
  });
  await run.step('an address that is not Amazon is not gone on to', async () => {
    const elsewhere = new URL(page);
    for (const address of ['https://evil.example/apps/authorize/x', `${amazon}/elsewhere`, 'http://127.0.0.1/apps/authorize/x']) {
      elsewhere.searchParams.set('amazon_callback_uri', address);
      await ada.open(elsewhere.href, 400);
    }
    await ada.isAccessible();
  });
  await run.step('one goes on, and comes back with a consent', async () => {
    await ada.open(page);
    await ada.press(/Continue to/);
    await ada.page.waitForURL((url) => url.origin === portal && url.pathname.startsWith(`${team}/connections/`));
    await ada.page.locator('.status', { hasText: 'Ready' }).first().waitFor();
  });
});
