// Connecting a seller by Amazon's consent page, which is emulated.

const { scenario } = require('../lib/scenario.js');
const { join } = require('../lib/portal.js');

scenario(async (run) => {
  const { owner, member, team, sellers } = run.told;
  const amazon = run.told.origins.amazon;

  /** Fills in the form and goes to Amazon. */
  const begin = async (person, name) => {
    await person.open(`${team}/connections/new`);
    await person.fill('Name', name);
    await person.page.getByRole('radio', { name: 'North America' }).check();
    await person.page.getByRole('checkbox', { name: /United States/ }).check();
    await person.page.getByRole('checkbox', { name: /Canada/ }).check();
    await person.press('Continue to Amazon');
    await person.page.waitForURL(`${amazon}/**`);
  };
  /** On Amazon's page, says yes as a seller; tells the address that brought them back to the portal. */
  const consent = async (person, seller) => {
    const back = person.page.waitForRequest((request) => new URL(request.url()).pathname === '/amazon/callback');
    await person.page.getByLabel(/seller/i).selectOption(seller);
    await person.press(/Authorize|Confirm/);
    const request = await back;
    await person.page.waitForURL((url) => url.origin === run.told.origins.portal);
    return request.url();
  };
  const isReady = (person) => person.page.locator('.status', { hasText: 'Ready' }).first().waitFor();

  const ada = await run.person('ada');
  await run.step('an Owner of a Team without a connection is told what comes next', async () => {
    await join(ada, owner, team);
    await ada.sees('No seller is connected yet.');
    await ada.isAccessible();
    await ada.shot('team-empty');
  });
  await run.step('the form keeps what was typed and points at what is missing', async () => {
    await ada.open(`${team}/connections/new`);
    await ada.isAccessible();
    await ada.shot('connection-new');
    await ada.fill('Name', 'Acme, North America');
    await ada.page.getByRole('radio', { name: 'North America' }).check();
    await ada.press('Continue to Amazon');
    await ada.page.getByRole('alert').waitFor();
    ada.demand((await ada.page.getByLabel('Name').first().inputValue()) === 'Acme, North America', 'the name is gone');
    await ada.isAccessible();
    await ada.shot('connection-new-error', true);
  });
  await run.step('the seller says no', async () => {
    await begin(ada, 'Acme, North America');
    await ada.shot('amazon-consent');
    await ada.press('Cancel');
    await ada.page.waitForURL((url) => url.origin === run.told.origins.portal);
    await ada.sees('Nothing was stored.');
    await ada.isAccessible();
    await ada.shot('consent-refused');
  });
  const used = await run.step('the seller says yes, and the page follows until all is ready', async () => {
    await begin(ada, 'Acme, North America');
    const used = await consent(ada, sellers[0]);
    await ada.page.waitForURL((url) => url.pathname.startsWith(`${team}/connections/`));
    const { pathname, search } = new URL(ada.page.url());
    ada.demand(pathname.startsWith(`${team}/connections/`) && !search.includes('code'), `the address is ${ada.page.url()}`);
    await isReady(ada);
    await ada.sees(sellers[0]);
    return used;
  });
  const connection = new URL(ada.page.url()).pathname;
  await run.step('all of it is shown', async () => {
    await ada.open(connection);
    await ada.isAccessible();
    await ada.shot('connection', true);
    await ada.open(team);
    await ada.isAccessible();
    await ada.shot('team', true);
  });

  await run.step("Amazon's answer counts once", async () => {
    await ada.open(used, 422);
    await ada.sees('Nothing was stored.');
    await ada.isAccessible();
    await ada.shot('consent-reused');
  });
  await run.step('and in the browser in which it was asked for', async () => {
    await begin(ada, 'Another');
    // Amazon answers, and Ada does not go where it sends her: Ben is given the address.
    const hidden = await ada.page.locator('input[type=hidden]').evaluateAll((all) => all.map(({ name, value }) => [name, value]));
    const form = { ...Object.fromEntries(hidden), seller: sellers[1], user: 'primary', decision: 'authorize' };
    const answer = await ada.context.request.post(ada.page.url().split('?')[0], { form, maxRedirects: 0 });
    const address = answer.headers().location;
    ada.demand(answer.status() === 302 && address.startsWith(run.told.origins.portal), `Amazon answers ${answer.status()}`);
    const ben = await run.person('ben');
    await ben.open(address, 422);
    await ben.isAccessible();
    await join(ben, member, team);
    await ben.open(address, 422);
    await ben.sees('belongs to another browser or person');
    await ben.isAccessible();
    await ben.shot('consent-foreign');
    // Who asked for it may still bring it.
    const elsewhere = await run.person('ada-elsewhere');
    await join(elsewhere, owner, team);
    await elsewhere.open(address, 422);
    await elsewhere.sees('belongs to another browser or person');
  });
  await run.step('a state that nobody made is refused', async () => {
    await ada.open('/amazon/callback?state=AAAA&selling_partner_id=A1EXAMPLE00001&spapi_oauth_code=made-up', 422);
    await ada.sees('Nothing was stored.');
  });
  await run.step('the same seller is not connected twice', async () => {
    await begin(ada, 'Once more');
    await consent(ada, sellers[0]);
    await ada.sees('is connected to the same application in the same region already');
    await ada.isAccessible();
    await ada.shot('consent-duplicate');
  });
  await run.step('another seller cannot take the place of this one', async () => {
    await ada.open(connection);
    await ada.press('Consent again at Amazon');
    await ada.page.waitForURL(`${amazon}/**`);
    await consent(ada, sellers[1]);
    await ada.sees('Sign out of Seller Central');
    await ada.isAccessible();
    await ada.shot('consent-other-seller');
  });
  await run.step('the same one consents again', async () => {
    await ada.open(connection);
    await ada.press('Consent again at Amazon');
    await ada.page.waitForURL(`${amazon}/**`);
    await consent(ada, sellers[0]);
    await ada.page.waitForURL(`**${connection}`);
    await isReady(ada);
  });

  await run.step('it is tested, and renamed', async () => {
    await ada.open(connection);
    await ada.press(/Test now/);
    await ada.sees('Amazon is being asked');
    await isReady(ada);
    await ada.page.getByText('Rename', { exact: true }).first().click();
    await ada.page.locator('#name').fill('Acme 🇺🇸 & <Söhne>');
    await ada.page.getByRole('button', { name: 'Rename' }).click();
    await ada.comes(ada.page.getByRole('heading', { name: 'Acme 🇺🇸 & <Söhne>' }));
    await ada.isAccessible();
  });
  await run.step('a Member sees it and cannot change it', async () => {
    const ben = await run.person('ben-the-member');
    await join(ben, member, team);
    await ben.open(connection);
    ben.demand((await ben.page.getByText('Delete this connection').count()) === 0, 'deleting is offered');
    await ben.isAccessible();
    await ben.open(`${connection}/delete`, 403);
    await ben.sees('takes the role Owner');
    await ben.isAccessible();
    await ben.shot('forbidden');
    await ben.open('/teams/elsewhere/elsewhere', 404);
    await ben.isAccessible();
    await ben.shot('not-found');
  });
  await run.step('it is deleted by who types its name', async () => {
    await ada.open(connection);
    await ada.press('Delete this connection…');
    await ada.isAccessible();
    await ada.shot('connection-delete', true);
    const button = ada.page.getByRole('button', { name: 'Delete the connection' });
    ada.demand(await button.isDisabled(), 'it can be deleted before its name is typed');
    await ada.page.locator('#confirm').fill(connection.split('/').at(-1));
    await button.click();
    await ada.sees('Deleted.');
    await ada.open(team);
    await ada.comes('No seller is connected yet.');
  });
});
