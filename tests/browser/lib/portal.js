// What everybody does at the portal.

/** The code in a mail of the portal's. */
exports.codeIn = (mail) => mail.text.match(/^ +([0-9A-Z]{4}-?[0-9A-Z]{4})$/m)?.[1] ?? fail(`no code in ${mail.text}`);

function fail(why) {
  throw new Error(why);
}

/** Asks for a code, and returns the mail that brings it. */
exports.askForCode = async (person, address) => {
  const before = (await person.mails(address)).at(-1)?.id ?? 0;
  await person.open('/sign-in');
  await person.fill('E-mail address', address);
  await person.press('Mail me a code');
  await person.sees('a code is on its way');
  return person.mail(address, before);
};

/** Signs in by the code from the mail, and joins the Team that they are sent to if they have not yet. */
exports.signIn = async (person, address) => {
  const mail = await exports.askForCode(person, address);
  await exports.enter(person, exports.codeIn(mail));
  await person.page.waitForURL((url) => !url.pathname.startsWith('/sign-in'));
};

/** Enters a code. */
exports.enter = async (person, code) => {
  await person.fill('Code from the mail', code);
  await person.press('Sign in');
};

/** Signs in and opens the Team, of which they become a member in deed. */
exports.join = async (person, address, team) => {
  await exports.signIn(person, address);
  await person.open(team);
  const join = person.page.getByRole('button', { name: 'Join the Team' });
  if (await join.isVisible()) {
    await join.click();
    await person.page.getByRole('heading', { name: 'Connections' }).waitFor();
  }
};
