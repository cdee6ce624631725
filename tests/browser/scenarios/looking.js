// Every page as different people see it: on a wide screen, on phones, in the dark. Nothing is wider than its window, axe finds
// nothing, and each has its picture.

const { scenario } = require('../lib/scenario.js');
const { join } = require('../lib/portal.js');

const WAYS = [
  ['wide', { zone: 'America/New_York' }],
  ['wide-dark', { dark: true }],
  ['phone', { phone: true }],
  ['phone-dark', { phone: true, dark: true, reducedMotion: true }],
  ['narrow', { width: 320 }],
];

scenario(async (run) => {
  const { owner, team, connection } = run.told;
  const pages = {
    security: '/security',
    team,
    'connection-new': `${team}/connections/new`,
    connection: `${team}/connections/${connection}`,
    'connection-delete': `${team}/connections/${run.told.made ?? connection}/delete`,
    tokens: `${team}/tokens`,
    'token-new': `${team}/tokens/new`,
    members: `${team}/members`,
    activity: `${team}/activity`,
    'activity-filtered': `${team}/activity?what=reads&from=2026-01-01`,
    'activity-nothing-fits': `${team}/activity?what=members&text=nobody+says+this`,
    'activity-wrong': `${team}/activity?outcome=maybe&to=soon`,
    contain: `${team}/contain`,
    sessions: '/sessions',
    'not-found': '/nowhere',
  };
  const status = { 'not-found': 404, 'activity-wrong': 422, 'connection-delete': run.told.made ? 200 : 400 };

  const signedIn = await run.person('ada');
  await run.step('signed in', () => join(signedIn, owner, team));

  for (const [way, options] of WAYS) {
    await run.step(`every page, ${way}`, async () => {
      const ada = await run.person(`ada-${way}`, options);
      await ada.open('/sign-in');
      await ada.isAccessible();
      await ada.shot(`${way}/sign-in`, true);
      await ada.open('/security');
      await ada.isAccessible();
      await ada.has(signedIn);
      for (const [name, path] of Object.entries(pages)) {
        await ada.open(path, status[name] ?? 200);
        const faults = await ada.faults();
        ada.demand(faults.length === 0, `${name}: ${faults.join('\n')}`);
        await ada.shot(`${way}/${name}`, true);
      }
      await ada.context.close();
    });
  }

  await run.step('times are those of the reader, and UTC without scripts', async () => {
    const shown = async (person) => {
      await person.has(signedIn);
      await person.open('/sessions');
      const time = person.page.locator('main time').first();
      return [await time.getAttribute('datetime'), await time.innerText()];
    };
    const hour = (text) => text.match(/\b(\d{2}):\d{2}/)?.[1];
    const tokyo = await run.person('ada-in-tokyo', { zone: 'Asia/Tokyo' });
    const [at, there] = await shown(tokyo);
    const expected = new Date(at).toLocaleTimeString('en-GB', { timeZone: 'Asia/Tokyo', hour: '2-digit' });
    tokyo.demand(hour(there) === expected.slice(0, 2), `${at} shows as ${there} in Tokyo`);
    const plain = await run.person('ada-without-scripts', { zone: 'Asia/Tokyo', noScript: true });
    const [utc, words] = await shown(plain);
    plain.demand(words.includes('UTC') && hour(words) === utc.slice(11, 13), `${utc} shows as ${words} without scripts`);
  });
});
