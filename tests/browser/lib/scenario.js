// What a scenario is run by. Standard input brings the configuration as the first line of JSON, then the answers to what the
// scenario asks of the test that started it. Standard output has a line of JSON for each step that was made, for each
// question, and at the end `{"done": STEPS}` or `{"failed": …}`.

const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');
const { chromium } = require('playwright-core');
const { Person } = require('./person.js');

/** How long anything may take; what takes longer does not come. */
const PATIENCE = 60_000;

class Scenario {
  #lines;
  #steps = 0;
  #at = 'before the first step';
  #people = [];
  #browser;

  constructor(lines, told) {
    this.#lines = lines;
    /** What the test told: addresses, names, directories. */
    this.told = told;
  }

  static say(line) {
    fs.writeSync(1, `${JSON.stringify(line)}\n`);
  }

  /** Does a part of the scenario and tells of it. Afterwards nobody's browser may have complained. */
  async step(name, work) {
    const started = Date.now();
    this.#at = name;
    const value = await work();
    const complaints = this.#people.flatMap((person) => person.complaints.splice(0));
    if (complaints.length > 0) throw new Error(complaints.join('\n'));
    this.#steps += 1;
    Scenario.say({ step: name, ms: Date.now() - started });
    return value;
  }

  /** Has the test do something, such as taking somebody out of a Team, and waits for its answer. */
  async ask(what, details = {}) {
    Scenario.say({ ask: what, ...details });
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`nobody answers ${what}`);
    return JSON.parse(value);
  }

  /** Somebody with a browser of their own: no cookie, no cache, and an address that nobody else has. */
  async person(name, options = {}) {
    this.#browser ??= await chromium.launch({
      executablePath: this.told.chromium,
      // Chromium's own sandbox does not start as root.
      chromiumSandbox: process.getuid() !== 0,
      args: [
        // Nothing but this machine is known.
        '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
      ],
    });
    const person = await Person.open(this.#browser, this.told, name, this.#people.length + 1, options);
    this.#people.push(person);
    person.page.setDefaultTimeout(PATIENCE);
    return person;
  }

  async run(body) {
    try {
      await body(this);
      if (this.#steps === 0) throw new Error('no step was made');
      Scenario.say({ done: this.#steps });
    } catch (error) {
      const open = await this.#show();
      Scenario.say({ failed: this.#at, error: String(error?.stack ?? error), open });
      process.exitCode = 1;
    } finally {
      await this.#browser?.close();
    }
  }

  /** What is on the screens when something failed. */
  async #show() {
    const open = [];
    for (const person of this.#people) {
      try {
        const file = await person.shot(`failed-${path.basename(process.argv[1], '.js')}-${person.name}`);
        open.push({ who: person.name, url: person.page.url(), complaints: person.complaints, file });
      } catch (error) {
        open.push({ who: person.name, error: String(error) });
      }
    }
    return open;
  }
}

/** Runs `body` with a {@link Scenario}. */
exports.scenario = async (body) => {
  const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const { value, done } = await lines.next();
  if (done) throw new Error('there is no configuration on standard input');
  await new Scenario(lines, JSON.parse(value)).run(body);
  // Nothing else keeps this process: a question may be waited for no more.
  process.exit();
};
