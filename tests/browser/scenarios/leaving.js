// Somebody is taken out of the Team while they look at it.

const { scenario } = require('../lib/scenario.js');
const { join } = require('../lib/portal.js');

scenario(async (run) => {
  const { member, team, connection } = run.told;
  const ben = await run.person('ben');
  // What follows a page that is gone is told so.
  ben.tolerate(/events/);
  await run.step('a Member looks at a connection that is being worked on', async () => {
    await join(ben, member, team);
    const followed = ben.page.waitForResponse((response) => response.url().endsWith('/events'));
    await ben.open(`${team}/connections/${connection}`);
    await followed;
  });
  await run.step('taken out, they are told nothing any more, and see nothing', async () => {
    const ended = ben.page.waitForEvent('requestfinished', (request) => request.url().endsWith('/events'));
    await run.ask('take out', { member });
    await ended;
    await ben.open(team, 404);
    await ben.isAccessible();
    await ben.open('/');
    await ben.sees('in no Team yet');
    await ben.isAccessible();
    await ben.shot('no-team');
  });
  await run.step('put in again, they accept again only if it is another Team', async () => {
    await run.ask('put in', { member });
    await ben.open(team);
    await ben.page.getByRole('heading', { name: 'Connections' }).waitFor();
  });
  await run.step('contained, a person is signed out and cannot sign in', async () => {
    await run.ask('contain person', { member });
    await ben.open(team);
    await ben.page.getByRole('heading', { name: 'Sign in' }).waitFor();
  });
});
