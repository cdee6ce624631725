// Signing in by the code from a real mail.

const { scenario } = require('../lib/scenario.js');
const { askForCode, codeIn, enter, signIn } = require('../lib/portal.js');

const NOT_TAKEN = 'That is not the code from the newest mail';

/** A code of the same form that is not this one. */
const another = (code) => (code.startsWith('Z') ? 'Y' : 'Z') + code.slice(1);

scenario(async (run) => {
  const { owner, member, viewer, team } = run.told;
  const ada = await run.person('ada');

  await run.step('who is signed out is asked to sign in, and goes on to where they wanted', async () => {
    await ada.open(`${team}/members`);
    await ada.page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await ada.isAccessible();
    await ada.shot('sign-in');
  });
  await run.step('what is no address is kept and pointed at', async () => {
    // The browser's own check lets this through; the portal does not.
    await ada.fill('E-mail address', 'ada@nowhere,example');
    await ada.page.locator('main form').evaluate((form) => (form.noValidate = true));
    await ada.press('Mail me a code');
    await ada.sees('Enter the whole address');
    const field = ada.page.getByLabel('E-mail address');
    ada.demand((await field.inputValue()) === 'ada@nowhere,example', 'what was typed is gone');
    ada.demand((await field.getAttribute('aria-invalid')) === 'true', 'the field is not pointed at');
    await ada.isAccessible();
    await ada.shot('sign-in-error');
  });

  const code = await run.step('a code comes by mail', async () => {
    await ada.fill('E-mail address', owner);
    await ada.press('Mail me a code');
    await ada.sees('a code is on its way');
    await ada.isAccessible();
    await ada.shot('sign-in-code');
    const mail = await ada.mail(owner);
    ada.demand(mail.html.includes(codeIn(mail)), 'the HTML has another code');
    ada.demand(!mail.subject.includes(codeIn(mail)), 'the subject shows on locked screens');
    for (const text of [mail.text, mail.html]) ada.demand(!/href=/.test(text), 'the mail has a link');
    return codeIn(mail);
  });
  await run.step('a stranger is told the same, and is mailed nothing', async () => {
    const eve = await run.person('eve');
    await eve.open('/sign-in');
    await eve.fill('E-mail address', 'nobody@elsewhere.example');
    await eve.press('Mail me a code');
    const text = (person) => person.page.getByRole('main').innerText();
    const [told, known] = [await text(eve), await text(ada)];
    eve.demand(told.replace('nobody@elsewhere.example', owner) === known, `told ${told}, not ${known}`);
    await enter(eve, 'ABCD-EFGH');
    await eve.sees(NOT_TAKEN);
    eve.demand((await eve.mails('nobody@elsewhere.example')).length === 0, 'they were mailed');
  });
  await run.step('the code is good in the browser that asked for it, and in no other', async () => {
    const eve = await run.person('eve-with-the-code');
    await eve.open('/sign-in/code');
    await eve.page.waitForURL('**/sign-in');
    await eve.fill('E-mail address', 'nobody@elsewhere.example');
    await eve.press('Mail me a code');
    await enter(eve, code);
    await eve.sees(NOT_TAKEN);
    // One that asked for the same address itself has another code to enter, whether or not the old one is good.
    eve.demand((await eve.context.cookies()).every(({ name }) => name !== '__Host-sid'), 'a session was begun');
  });
  await run.step('a wrong code is not taken, and is not shown again', async () => {
    await enter(ada, another(code));
    await ada.sees(NOT_TAKEN);
    ada.demand((await ada.page.getByLabel('Code from the mail').inputValue()) === '', 'the code is there');
    await ada.isAccessible();
    await ada.shot('sign-in-code-error');
  });
  await run.step('the right one is, as people type it, and leads to where they wanted to go', async () => {
    await enter(ada, ` ${code.replace('-', ' ').toLowerCase()} `);
    await ada.page.waitForURL((url) => url.pathname.startsWith('/teams/'));
  });
  await run.step('a membership is accepted once', async () => {
    await ada.page.getByRole('heading', { name: 'Join' }).waitFor();
    await ada.isAccessible();
    await ada.shot('join');
    await ada.press('Join the Team');
    await ada.page.getByRole('heading', { name: 'Connections' }).waitFor();
    await ada.open('/');
    await ada.page.getByRole('heading', { name: 'Connections' }).waitFor();
  });
  await run.step('the session is a cookie that nothing but the portal gets', async () => {
    const [session] = (await ada.context.cookies()).filter(({ name }) => name === '__Host-sid');
    ada.demand(session.httpOnly && session.secure && session.sameSite === 'Lax' && session.path === '/', 'the cookie is lax');
    ada.demand(session.domain === 'localhost', `the cookie is for ${session.domain}`);
  });
  await run.step('a code works once', async () => {
    const again = await run.person('ada-again');
    const second = codeIn(await askForCode(again, owner));
    await enter(again, second);
    await again.page.waitForURL((url) => url.pathname.startsWith('/teams/'));
    // The browser's cookie of the code is as it was.
    await again.press('Your account: ' + owner);
    await again.press('Sign out');
    await again.page.waitForURL('**/sign-in');
    await again.open('/sign-in/code');
    again.demand(new URL(again.page.url()).pathname === '/sign-in', 'the code can be entered again');
  });

  await run.step('one sees where one is signed in, and ends the others', async () => {
    const phone = await run.person('ada-on-a-phone', { phone: true });
    await signIn(phone, owner);
    await ada.open('/sessions');
    await ada.page.getByRole('heading', { name: 'Where you are signed in' }).waitFor();
    await ada.isAccessible();
    await ada.shot('sessions');
    await ada.press('End all others');
    await ada.page.waitForURL('**/sessions*');
    await phone.open('/sessions');
    await phone.page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await ada.open('/sessions');
    ada.demand((await ada.page.getByText('This one').count()) === 1, 'one was ended with the others');
  });
  await run.step('signed out, the back button shows nothing', async () => {
    await ada.open(team);
    await ada.press(`Your account: ${owner}`);
    await ada.press('Sign out');
    await ada.page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await ada.page.goBack();
    await ada.page.getByRole('heading', { name: 'Sign in' }).waitFor();
  });

  await run.step('after ten wrong codes in a row the address is locked, and its owner is told', async () => {
    const eve = await run.person('eve-who-guesses');
    for (let wrong = 0; wrong < 10; ) {
      const right = codeIn(await askForCode(eve, viewer));
      for (let tries = 0; tries < 5 && wrong < 10; tries += 1, wrong += 1) {
        await enter(eve, another(right));
        await eve.sees(NOT_TAKEN);
      }
    }
    const mails = await eve.mails(viewer);
    const lock = await eve.mail(viewer, mails.at(-1).subject.includes('locked') ? 0 : mails.at(-1).id);
    eve.demand(/locked/.test(lock.subject + lock.text), `told: ${lock.text}`);
    // Asking goes on as ever, and nothing is mailed.
    await eve.open('/sign-in');
    await eve.fill('E-mail address', viewer);
    await eve.press('Mail me a code');
    await eve.sees('a code is on its way');
  });
  await run.step('and nobody else is', async () => {
    const ben = await run.person('ben');
    await signIn(ben, member);
  });
});
