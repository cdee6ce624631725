// The mailbox, as a person reads it.

const { scenario } = require('../lib/scenario.js');

scenario(async (run) => {
  const mailbox = run.told.origins.mailbox;
  const subjects = (person) => person.page.getByRole('listitem').getByRole('link').allTextContents();

  const ada = await run.person('ada');
  await run.step('the list has the newest first, of everybody', async () => {
    await ada.open(`${mailbox}/?still`);
    const all = await subjects(ada);
    const [another, second, first] = ['another', 'the second <b>&amp;', 'the first'].map((one) => all.indexOf(one));
    ada.demand(another >= 0 && another < second && second < first, `the list is ${all}`);
    await ada.isAccessible();
  });
  await run.step('and of one address', async () => {
    await ada.fill('Mail to', 'ADA@mailbox');
    await ada.press('Show');
    const own = await subjects(ada);
    ada.demand(own.length >= 2 && !own.includes('another'), `the list is ${own}`);
    await ada.isAccessible();
    await ada.shot('mailbox-list');
  });
  await run.step('it shows new mail by itself', async () => {
    await run.ask('send');
    await ada.page.getByRole('link', { name: 'the third' }).waitFor();
  });

  await run.step('a mail as text and as HTML, of which nothing runs, is fetched, or leads away', async () => {
    await ada.press('the second <b>&amp;');
    await ada.sees('This is the second');
    const framed = ada.page.frameLocator('iframe');
    await framed.getByRole('heading', { name: 'Hello' }).waitFor();
    await ada.isAccessible();
    await ada.shot('mailbox-mail', true);
    await framed.getByRole('link', { name: 'here' }).click();
    await ada.page.waitForLoadState('networkidle');
    const title = await ada.page.title();
    ada.demand(title.startsWith('the second'), `the title is ${title}`);
    ada.demand(ada.page.url().startsWith(`${mailbox}/mail/`), 'the page was left');
    // The browser says what it kept from happening, each once.
    const prevented = ada.complaints.splice(0);
    for (const kind of [/Blocked script execution/, /violates .*img-src/, /pixel\.gif: csp/, /navigation of the top-level window/]) {
      ada.demand(prevented.some((text) => kind.test(text)), `${kind} is not in ${prevented.join('\n')}`);
    }
  });
  await run.step('one that is not there', async () => {
    await ada.open(`${mailbox}/mail/1000000`, 404);
    await ada.isAccessible();
  });

  await run.step('on a phone, in the dark, without scripts', async () => {
    const bob = await run.person('bob', { phone: true, dark: true });
    await bob.open(`${mailbox}/?to=bob@mailbox.example`);
    await bob.isAccessible();
    const eve = await run.person('eve', { phone: true, dark: true, noScript: true });
    await eve.open(`${mailbox}/?to=bob@mailbox.example`);
    await eve.press('another');
    await eve.sees('This is another');
    await eve.shot('mailbox-phone-dark');
  });
});
