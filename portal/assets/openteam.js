// Copies, local times, live state, typed names. Everything else works without it.
'use strict';

const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// Times are UTC in the page; here they move into the reader's zone, and keep UTC as their title.
const local = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit',
});
for (const time of all('time[datetime]')) {
  time.title = time.textContent;
  time.textContent = local.format(new Date(time.dateTime));
}

// What a screen reader is told without moving to it.
const voice = document.createElement('div');
voice.className = 'sr';
voice.setAttribute('role', 'status');
document.body.append(voice);

for (const button of all('button[data-copy]')) {
  if (!navigator.clipboard) continue; // Only where the page came by TLS or from this machine.
  const from = document.getElementById(button.dataset.copy);
  const word = button.firstChild;
  const before = word.textContent;
  button.hidden = false;
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(from.value ?? from.textContent);
      word.textContent = voice.textContent = 'Copied';
    } catch {
      word.textContent = voice.textContent = 'Select it by hand';
    }
    setTimeout(() => { word.textContent = before; voice.textContent = ''; }, 2000);
  });
}

// A name that has to be typed before the button works.
for (const input of all('input[data-confirm]')) {
  const button = input.form.querySelector('button.bad');
  const check = () => { button.disabled = input.value.trim() !== input.dataset.confirm; };
  input.addEventListener('input', check);
  check();
}

// The state of a connection as it goes on. The server sends text, which goes into places that are there.
for (const section of all('[data-live]')) {
  const status = section.querySelector('[data-status]');
  const word = section.querySelector('[data-status-word]');
  const summary = section.querySelector('[data-summary]');
  const steps = all('.steps > li', section);
  const news = section.querySelector('[data-changed]');
  section.querySelector('[data-fallback]').hidden = true;

  let changed = false;
  const put = (place, text) => {
    if (!place || place.textContent === text) return;
    place.textContent = text;
    changed = true;
  };
  const source = new EventSource(section.dataset.live);
  source.onmessage = (event) => {
    const now = JSON.parse(event.data);
    status.className = `status ${now.tone}`;
    put(word, now.word);
    put(summary, now.summary);
    now.steps.forEach((step, i) => {
      if (!steps[i]) return;
      steps[i].dataset.state = step.state;
      put(steps[i].querySelector('[data-word]'), step.word);
      put(steps[i].querySelector('[data-text]'), step.text);
    });
    if (!now.over) return;
    source.close();
    if (!changed) return;
    // The rest of the page has changed too. Nobody who is typing is interrupted.
    if (['BODY', 'MAIN'].includes(document.activeElement?.tagName ?? 'BODY')) location.reload();
    else news.hidden = false;
  };
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) news.hidden = false; };
}
