// Somebody with a browser: what they see, what they do, and what their browser complains of.

const fs = require('node:fs');
const path = require('node:path');
const axe = require('axe-core');

const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 360, height: 740 };

/** Rules of axe: WCAG 2.2 A and AA, and what axe's makers call best practice. */
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

class Person {
  #told;
  #tolerated = [];
  #allowed;

  constructor(told, name, context, page) {
    this.#told = told;
    this.#allowed = new Set(Object.values(told.origins));
    this.name = name;
    this.context = context;
    /** What they look at. */
    this.page = page;
    /** What their browser complained of since the last step. */
    this.complaints = [];
  }

  /**
   * Opens a browser. Options: `phone`, `width` in CSS pixels, `dark`,
   * `noScript`, `reducedMotion`, `zone` (of IANA).
   */
  static async open(browser, told, name, number, options) {
    const viewport = options.phone ? PHONE : { ...WIDE, ...(options.width && { width: options.width }) };
    const context = await browser.newContext({
      viewport,
      hasTouch: Boolean(options.phone),
      colorScheme: options.dark ? 'dark' : 'light',
      reducedMotion: options.reducedMotion ? 'reduce' : 'no-preference',
      javaScriptEnabled: !options.noScript,
      locale: 'en-GB',
      timezoneId: options.zone ?? 'Europe/Berlin',
      baseURL: told.origins.portal,
      // The Ingress in front of the portal takes it for the address that the connection came from (RFC 2544's range).
      extraHTTPHeaders: { 'test-client-address': `198.18.${told.number ?? 0}.${number}` },
    });
    const person = new Person(told, name, context, await context.newPage());
    person.#watch();
    return person;
  }

  #watch() {
    const complain = (text) => {
      if (!this.#tolerated.some((pattern) => pattern.test(text))) this.complaints.push(`${this.name}: ${text}`);
    };
    // Violations of the Content-Security-Policy and of trusted types are errors on the console.
    this.context.on('console', (message) => {
      // A status of 400 and above is told below, with what it was for.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
        complain(`console: ${message.text()} (${message.location().url})`);
      }
    });
    this.context.on('weberror', (error) => complain(`script: ${error.error()}`));
    this.context.on('request', (request) => {
      const { origin, protocol } = new URL(request.url());
      if (protocol !== 'about:' && !this.#allowed.has(origin)) complain(`request to ${request.url()}`);
    });
    this.context.on('requestfailed', (request) => {
      const why = request.failure()?.errorText;
      // A page that is left gives up what it waits for.
      if (why !== 'net::ERR_ABORTED') complain(`no answer from ${request.url()}: ${why}`);
    });
    this.context.on('response', (response) => {
      const status = response.status();
      // What a page answers to who opens it, the scenario judges.
      const opened = response.request().isNavigationRequest();
      if (status >= 500 || (status >= 400 && !opened)) complain(`${status} from ${response.url()}`);
    });
  }

  /** Takes over somebody's cookies: the same person at another screen, without another mail. */
  async has(other) {
    // By an address, not a domain: names that begin with __Host- are for nothing wider.
    const cookies = (await other.context.cookies()).map(({ domain, path, ...cookie }) => cookie);
    await this.context.addCookies(cookies.map((cookie) => ({ ...cookie, url: this.#told.origins.portal })));
  }

  /** From now on complaints of this pattern are taken for what must be. */
  tolerate(pattern) {
    this.#tolerated.push(pattern);
  }

  /** Opens an address, of the portal where it is a path; demands a status. */
  async open(address, status = 200) {
    const response = await this.page.goto(address);
    this.demand(response.status() === status, `${address} answers ${response.status()}, not ${status}`);
    return response;
  }

  /** Demands what a sentence says. */
  demand(truth, otherwise) {
    if (!truth) throw new Error(`${this.name}, at ${this.page.url()}: ${otherwise}`);
  }

  /** Waits until the page shows a text. */
  async sees(text) {
    await this.page.getByText(text).first().waitFor();
  }

  /**
   * Waits until the page shows a text, or something else, loading it anew: what one replica was told, another learns a moment
   * later, and here every request goes to another one.
   */
  async comes(what) {
    const wanted = typeof what === 'string' ? this.page.getByText(what) : what;
    for (const deadline = Date.now() + 30_000; !(await wanted.first().isVisible()); ) {
      this.demand(Date.now() < deadline, `${what} does not come`);
      await this.page.waitForTimeout(100);
      await this.page.reload();
    }
  }

  /** Waits until the page does not show something any more, loading it anew. */
  async goes(what) {
    for (const deadline = Date.now() + 30_000; (await what.count()) > 0; ) {
      this.demand(Date.now() < deadline, `${what} stays`);
      await this.page.waitForTimeout(100);
      await this.page.reload();
    }
  }

  /** Presses the button, or follows the link, of this name. */
  async press(name) {
    const named = { name, exact: typeof name === 'string' };
    await this.page.getByRole('button', named).or(this.page.getByRole('link', named)).first().click();
  }

  /** Fills in the field that has this label. */
  async fill(label, text) {
    await this.page.getByLabel(label).first().fill(text);
  }

  /** Tells everything that axe finds wrong with the page, and whether it is wider than the window. */
  async faults() {
    await this.page.evaluate(axe.source);
    const run = (rules) => axe.run(document, { runOnly: rules, resultTypes: ['violations'], iframes: false });
    const { violations } = await this.page.evaluate(run, RULES);
    const faults = violations.map(({ id, help, nodes }) => {
      const places = nodes.map(({ target, failureSummary }) => `${target}: ${failureSummary}`);
      return `${id} (${help}): ${places.slice(0, 3).join('; ')}`;
    });
    const excess = await this.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (excess > 0) faults.push(`wider than the window by ${excess} px`);
    return faults;
  }

  /** Demands that nothing is wrong with the page for who reads it by another way than the eye, or on a small screen. */
  async isAccessible() {
    const faults = await this.faults();
    this.demand(faults.length === 0, faults.join('\n'));
  }

  /** Keeps a picture of the page; tells where. `whole`: all of it and not only what the window shows. */
  async shot(name, whole = false) {
    fs.mkdirSync(this.#told.screenshots, { recursive: true });
    const file = path.join(this.#told.screenshots, `${name}.png`);
    await this.page.screenshot({ path: file, fullPage: whole, animations: 'disabled', caret: 'initial' });
    return file;
  }

  /** Every mail to an address, oldest first: `{id, subject, text, html}`. */
  async mails(address) {
    const answer = await fetch(`${this.#told.origins.mailbox}/mails?to=${encodeURIComponent(address)}`);
    return answer.json();
  }

  /** Waits for a mail to an address that is newer than mail number `after`, and returns the newest. */
  async mail(address, after = 0) {
    for (const deadline = Date.now() + 30_000; Date.now() < deadline; ) {
      const newest = (await this.mails(address)).at(-1);
      if (newest && newest.id > after) return newest;
      await new Promise((later) => setTimeout(later, 100));
    }
    throw new Error(`${this.name}: no mail to ${address} after number ${after}`);
  }
}

exports.Person = Person;
