// The whole way without JavaScript, and the whole way without a mouse.

const fs = require('node:fs');
const { scenario } = require('../lib/scenario.js');
const { codeIn, join } = require('../lib/portal.js');

scenario(async (run) => {
  const { owner, member, team, connection } = run.told;

  await run.step('without scripts one signs in, issues a token, has it shown, and revokes it', async () => {
    const eve = await run.person('eve', { noScript: true, phone: true });
    await join(eve, owner, team);
    await eve.press('Issue a token');
    await eve.fill('Name', 'by-hand');
    await eve.press('Issue the token');
    await eve.page.getByRole('heading', { name: 'Token by-hand is ready' }).waitFor();
    const text = await eve.page.getByRole('textbox', { name: 'Token' }).inputValue();
    await run.ask('plant', { token: text });
    eve.demand((await eve.page.getByRole('button', { name: /Copy/ }).count()) === 0, 'a button does nothing');
    await eve.shot('without-scripts-token');
    await eve.press('I have copied it');
    await eve.comes(eve.page.getByRole('button', { name: 'Revoke by-hand' }));
    await eve.press('Revoke by-hand');
    await eve.sees('Revoked.');
  });
  await run.step('and looks something up in the activity, and takes it along', async () => {
    const eve = await run.person('eve-looks', { noScript: true, phone: true });
    await join(eve, owner, team);
    await eve.open(`${team}/activity`);
    await eve.page.getByText('Filter', { exact: true }).click();
    await eve.page.getByLabel('What', { exact: true }).selectOption('Changes');
    await eve.fill('Words', 'by-hand');
    await eve.press('Show');
    await eve.comes(eve.page.getByRole('listitem').filter({ hasText: 'Issued a token' }));
    const address = new URL(eve.page.url());
    eve.demand(address.searchParams.get('what') === 'changes', `the filter is not in ${address}`);
    eve.demand((await eve.page.getByLabel('Words').inputValue()) === 'by-hand', 'the form forgets');
    eve.demand((await eve.page.getByText('Looked at this page').count()) === 0, 'what was left out shows');
    await eve.shot('without-scripts-activity', true);
    const [file] = await Promise.all([eve.page.waitForEvent('download'), eve.press('Download CSV')]);
    eve.demand(/^openteam-.+-activity\.csv$/.test(file.suggestedFilename()), file.suggestedFilename());
    const rows = fs.readFileSync(await file.path(), 'utf8').trimEnd().split('\r\n');
    eve.demand(rows[0] === '"time","who","what","object","outcome"', rows[0]);
    eve.demand(rows.some((row) => row.includes('"Issued a token","by-hand"')), rows.join('\n'));
    eve.demand(rows.at(-1).includes(`End of the file, ${rows.length - 2} events`), rows.at(-1));
    await eve.fill('Words', 'nobody says this');
    await eve.press('Show');
    await eve.sees('Nothing fits all of this');
    await eve.press('What: Changes');
    await eve.sees('Nothing fits all of this');
    await eve.press('Clear the filter');
    await eve.sees('Looked at this page');
  });
  await run.step('and tests a connection, and signs out', async () => {
    const eve = await run.person('eve-again', { noScript: true });
    await join(eve, owner, team);
    await eve.open(`${team}/connections/${connection}`);
    await eve.press(/Test now/);
    await eve.sees('Amazon is being asked');
    await eve.shot('without-scripts-connection', true);
    await eve.press(/Your account/);
    await eve.press('Sign out');
    await eve.page.getByRole('heading', { name: 'Sign in' }).waitFor();
  });

  await run.step('without a mouse one does the same, and always sees where one is', async () => {
    const ada = await run.person('ada');
    const { keyboard } = ada.page;
    /** Moves on until something of this name has the focus, which must show. */
    const to = async (role, name) => {
      for (let presses = 0; presses < 80; presses += 1) {
        await keyboard.press('Tab');
        const seen = await ada.page.evaluate(() => {
          const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(document.activeElement);
          return (outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2) || boxShadow !== 'none';
        });
        ada.demand(seen, 'the focus does not show');
        const wanted = ada.page.getByRole(role, { name });
        if (await wanted.first().evaluate((one) => one === document.activeElement, null, { timeout: 1000 }).catch(() => false)) return;
      }
      ada.demand(false, `${role} ${name} cannot be reached`);
    };
    const before = (await ada.mails(member)).at(-1)?.id ?? 0;
    await ada.open(`${team}/tokens/new`);
    await ada.page.getByRole('heading', { name: 'Sign in' }).waitFor();
    // The first field has the focus already.
    await keyboard.type(member);
    await keyboard.press('Enter');
    await ada.sees('a code is on its way');
    await keyboard.type(codeIn(await ada.mail(member, before)));
    await keyboard.press('Enter');
    await ada.page.getByRole('heading', { name: /^Join/ }).waitFor();
    await to('link', 'Skip to content');
    await keyboard.press('Enter');
    await to('button', 'Join the Team');
    await keyboard.press('Enter');
    await ada.page.getByRole('heading', { name: 'Connections' }).waitFor();
    await to('link', 'Tokens');
    await keyboard.press('Enter');
    await ada.page.getByRole('heading', { name: 'Tokens', exact: true }).waitFor();
    await to('link', 'Issue a token');
    await keyboard.press('Enter');
    await ada.page.getByRole('heading', { name: 'Issue a token' }).waitFor();
    await to('textbox', /^Name/);
    await keyboard.type('no-mouse');
    await to('button', 'Issue the token');
    await keyboard.press('Enter');
    await ada.page.getByRole('heading', { name: 'Token no-mouse is ready' }).waitFor();
    await run.ask('plant', { token: await ada.page.getByRole('textbox', { name: 'Token' }).inputValue() });
    await to('button', 'Copy the token');
    await ada.shot('keyboard');
    await to('link', 'I have copied it');
    await keyboard.press('Enter');
    await ada.page.getByRole('heading', { name: 'Tokens', exact: true }).waitFor();
    await to('button', /Your account/);
    await keyboard.press('Enter');
    await to('button', 'Sign out');
    await keyboard.press('Enter');
    await ada.page.getByRole('heading', { name: 'Sign in' }).waitFor();
  });
});
