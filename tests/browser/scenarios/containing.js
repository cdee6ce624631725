// Containing, and what everybody sees of it.

const { scenario } = require('../lib/scenario.js');
const { join } = require('../lib/portal.js');

scenario(async (run) => {
  const { owner, member, team, connection } = run.told;
  const path = `${team}/connections/${connection}`;
  const banner = (person) => person.page.getByRole('region', { name: /^Contained:/ });

  const [ada, ben] = [await run.person('ada'), await run.person('ben')];
  await run.step('nothing is contained', async () => {
    await join(ada, owner, team);
    await join(ben, member, team);
    for (const person of [ada, ben]) {
      await person.open(path);
      person.demand((await banner(person).count()) === 0, 'there is a banner');
    }
    ben.demand((await ben.page.getByText(/Contain this connection/).count()) === 0, 'a Member may contain');
  });
  await run.step('an Owner sees what stops before it does', async () => {
    await ada.open(`${team}/contain`);
    await ada.sees(connection);
    await ada.isAccessible();
    await ada.shot('contain-team', true);
  });
  await run.step('a connection is contained, at once', async () => {
    await ada.open(path);
    await ada.press(/Contain this connection/);
    const why = ada.page.getByLabel('What happened?');
    if (await why.isVisible()) {
      await why.fill('A token was in a build log.');
      await ada.press('Contain now');
    }
    ada.demand(await run.ask('contained'), 'the gateway serves it');
    await ada.open(path);
    await ada.comes(banner(ada));
  });
  await run.step('everybody is told on every page, and how it was before is not offered', async () => {
    for (const person of [ada, ben]) {
      for (const page of [team, path, `${team}/tokens`, `${team}/members`, `${team}/activity`]) {
        await person.open(page);
        await person.comes(banner(person));
        await person.isAccessible();
      }
      person.demand((await person.page.getByRole('button', { name: /restore|undo/i }).count()) === 0, 'it can be undone');
    }
    await ada.open(path);
    await ada.shot('connection-contained', true);
  });
  await run.step('what is contained is not changed', async () => {
    await ada.open(path);
    for (const name of ['Test now', 'Go to Amazon’s consent page', 'Rename']) {
      ada.demand((await ada.page.getByRole('button', { name }).count()) === 0, `${name} is offered`);
    }
  });
  await run.step('when others have restored it the banner goes', async () => {
    await run.ask('restore');
    await ada.goes(banner(ada));
  });
  await run.step('the whole Team is contained', async () => {
    await ada.open(`${team}/contain`);
    await ada.fill('What happened?', 'A laptop is gone.');
    await ada.press('Contain now');
    ada.demand(await run.ask('contained'), 'the gateway serves it');
    await ada.open(team);
    await ada.comes('A laptop is gone.');
    await ada.isAccessible();
    await ada.shot('team-contained', true);
  });
});
