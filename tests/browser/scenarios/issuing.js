// Tokens: issued, shown once, used as the page says, revoked.

const { scenario } = require('../lib/scenario.js');
const { join } = require('../lib/portal.js');

scenario(async (run) => {
  const { owner, member, viewer, team } = run.told;

  /** Issues a token, and returns its text. */
  const issue = async (person, name) => {
    await person.open(`${team}/tokens/new`);
    await person.fill('Name', name);
    await person.press('Issue the token');
    await person.page.getByRole('heading', { name: `Token ${name} is ready` }).waitFor();
    return person.page.getByRole('textbox', { name: 'Token' }).inputValue();
  };

  const ben = await run.person('ben');
  await run.step('a Member finds the form, which says what is missing', async () => {
    await join(ben, member, team);
    await ben.open(`${team}/tokens`);
    await ben.isAccessible();
    await ben.shot('tokens-empty');
    await ben.page.getByRole('link', { name: 'Issue a token' }).click();
    await ben.isAccessible();
    await ben.shot('token-new', true);
    await ben.fill('Name', 'Not a name!');
    await ben.press('Issue the token');
    await ben.page.getByRole('alert').waitFor();
    ben.demand((await ben.page.getByLabel('Name').first().inputValue()) === 'Not a name!', 'the name is gone');
    await ben.isAccessible();
    await ben.shot('token-new-error', true);
  });
  const token = await run.step('the token is shown once, and copied', async () => {
    const token = await issue(ben, 'nightly');
    await ben.isAccessible();
    await ben.context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: run.told.origins.portal });
    await ben.page.getByRole('button', { name: 'Copy the token' }).click();
    await ben.page.getByRole('button', { name: 'Copied' }).waitFor();
    const copied = await ben.page.evaluate(() => navigator.clipboard.readText());
    ben.demand(copied === token, 'something else was copied');
    return token;
  });
  await run.step('what the page says to paste works as it is', async () => {
    const snippets = Object.fromEntries(
      await ben.page.locator('pre > code[id]').evaluateAll((all) => all.map((one) => [one.id, one.textContent])),
    );
    const told = await run.ask('snippets', { token, snippets });
    for (const [client, answer] of Object.entries(told)) ben.demand(answer.ok, `${client}: ${answer.said}`);
    ben.demand(Object.keys(told).length >= 4, `only ${Object.keys(told)} were tried`);
  });
  await run.step('it is not shown again', async () => {
    // Not the secret itself, which is on a picture for the README: one that is revoked below.
    await ben.shot('token-issued');
    await ben.press('I have copied it');
    await ben.page.waitForURL(`**${team}/tokens`);
    ben.demand(!(await ben.page.content()).includes(token), 'the list has it');
    await ben.page.goBack();
    await ben.page.waitForLoadState();
    ben.demand(!(await ben.page.content()).includes(token), 'the back button shows it');
  });
  await run.step('the list says who issued it', async () => {
    await ben.open(`${team}/tokens`);
    const row = ben.page.getByRole('listitem').filter({ hasText: 'nightly' });
    for (const text of ['Yours', member]) await ben.comes(row.getByText(text));
    await ben.isAccessible();
    await ben.shot('tokens', true);
  });
  await run.step('a name is taken once', async () => {
    await ben.open(`${team}/tokens/new`);
    await ben.fill('Name', 'nightly');
    await ben.press('Issue the token');
    await ben.sees('There is a token of this name');
  });

  await run.step('a Viewer looks on', async () => {
    const cyd = await run.person('cyd');
    await join(cyd, viewer, team);
    await cyd.open(`${team}/tokens`);
    await cyd.comes('nightly');
    cyd.demand((await cyd.page.getByRole('button', { name: 'Revoke' }).count()) === 0, 'revoking is offered');
    await cyd.isAccessible();
    await cyd.open(`${team}/tokens/new`, 403);
    await cyd.isAccessible();
  });
  await run.step('who issued it revokes it, and the gateway refuses it', async () => {
    await ben.open(`${team}/tokens`);
    await ben.comes(ben.page.getByRole('button', { name: 'Revoke nightly' }));
    await ben.press('Revoke nightly');
    await ben.sees('Revoked.');
    const refused = await run.ask('refused', { token });
    ben.demand(refused, 'the gateway serves it');
  });
  await run.step('an Owner revokes all', async () => {
    const tokens = [await issue(ben, 'one'), await issue(ben, 'two')];
    const ada = await run.person('ada');
    await join(ada, owner, team);
    await ada.open(`${team}/tokens`);
    for (const name of ['one', 'two']) await ada.comes(ada.page.getByRole('button', { name: `Revoke ${name}` }));
    await ada.page.getByLabel(/to confirm/).fill(team.split('/').at(-1));
    await ada.press('Revoke all tokens');
    await ada.sees('All tokens are revoked.');
    for (const token of tokens) ada.demand(await run.ask('refused', { token }), 'the gateway serves one');
    await ada.isAccessible();
  });
  await run.step('the list says when a token was used', async () => {
    const token = await issue(ben, 'used');
    await run.ask('use', { token });
    await ben.open(`${team}/tokens`);
    const row = ben.page.getByRole('listitem').filter({ hasText: 'used' });
    const used = row.locator('dt', { hasText: 'Last used' }).locator('xpath=following-sibling::dd[1]');
    await ben.comes(used.filter({ hasText: /\d{4}/ }));
  });
});
