// Scenarios that must not pass.

const { scenario } = require('../lib/scenario.js');

scenario(async (run) => {
  if (run.told.how === 'step') await run.step('a step that fails', () => Promise.reject(new Error('of itself')));
});
