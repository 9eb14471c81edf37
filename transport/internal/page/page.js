// Keeps the page current, and names the partition under the pointer. Everything else works
// without it.
'use strict';

const live = () => document.getElementById('live');
let pending = false, last = 0;

// refresh fetches the page and replaces the parts that change by themselves. Forms, the
// place of the reader and the focus stay.
async function refresh() {
  pending = false;
  last = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: 'text/html' } });
    if (!answer.ok) throw new Error(String(answer.status));
    const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
    for (const old of document.querySelectorAll('[data-live]')) {
      const now = next.getElementById(old.id);
      if (!now || now.innerHTML === old.innerHTML) continue;
      const [scrolled, focus] = [old.querySelector('.scroll')?.scrollTop, old.contains(document.activeElement) ? document.activeElement : null];
      const at = focus && [...old.querySelectorAll('a, .scroll, summary')].indexOf(focus);
      old.innerHTML = now.innerHTML;
      if (scrolled) old.querySelector('.scroll').scrollTop = scrolled;
      if (focus) old.querySelectorAll('a, .scroll, summary')[at]?.focus({ preventScroll: true });
    }
    say('live');
  } catch {
    say('the member does not answer');
  }
}

function say(text) { if (live()) live().textContent = '· ' + text; }

// soon refreshes once for all events of a moment, and once a second at most.
function soon() {
  if (pending) return;
  pending = true;
  setTimeout(refresh, Math.max(200, last + 1000 - Date.now()));
}

let seen = '';
function follow() {
  const stream = new EventSource('v1/events');
  for (const kind of ['member-joined', 'member-updated', 'member-leaving', 'member-left', 'member-failed', 'member-rejoined', 'ring-changed', 'state-changed', 'health-changed', 'handoff-started', 'handoff-progressed', 'handoff-completed', 'handoff-failed']) {
    stream.addEventListener(kind, (e) => { if (e.lastEventId !== seen) { seen = e.lastEventId; soon(); } });
  }
  stream.onopen = () => say('live');
  stream.onerror = () => {
    say('the member does not answer');
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 2000);
  };
}
follow();
setInterval(soon, 15000);

// The partition under the pointer. A click looks it up.
function partition(e) {
  const img = e.target;
  if (img.id !== 'map-img') return null;
  const { side, per, count } = img.dataset, box = img.getBoundingClientRect();
  const x = Math.floor((e.clientX - box.left) / box.width * side), y = Math.floor((e.clientY - box.top) / box.height * side);
  const p = (y * side + x) * per;
  return x >= 0 && y >= 0 && x < side && p < count ? p : null;
}
document.addEventListener('pointermove', (e) => {
  const p = partition(e), says = document.getElementById('map-says');
  if (p !== null && says) says.textContent = 'Partition ' + p + ': click to see its owners';
});
document.addEventListener('click', (e) => {
  const p = partition(e);
  if (p !== null) location.href = '?partition=' + p + '#look';
});
