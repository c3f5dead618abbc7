// Without this script every figure, row and table is still on the page; with it, they move.
(() => {
  'use strict';
  document.documentElement.classList.add('js');
  const $ = (s, r = document) => r.querySelector(s), $$ = (s, r = document) => [...r.querySelectorAll(s)];

  // The pipeline page reloads as a whole: an operator reads it, nobody types in it.
  const reload = $('[data-reload]');
  if (reload) setTimeout(() => location.reload(), 1000 * reload.dataset.reload);

  // Maps: labels keep one size on screen whatever the zoom; a line under the map says what is pointed at.
  const scale = () => $$('.map').forEach((m) => { const r = m.getBoundingClientRect(); if (r.width) m.style.setProperty('--k', m.viewBox.baseVal.width / r.width); });
  scale(); addEventListener('resize', scale);
  document.addEventListener('pointerover', (e) => {
    const p = e.target.closest('.map .e'), out = $('#lu'); if (!out) return;
    if (p) { out.textContent = ''; const b = document.createElement('b'); b.textContent = p.dataset.n; out.append(b, ` : ${p.dataset.t}`); } else if (out.dataset.rest) out.textContent = out.dataset.rest;
  });

  const form = $('#filtres'); if (!form) return;
  // Filters apply as they change; the address stays shareable. Empty fields are left out of it.
  const folded = $('details', form); if (folded && matchMedia('(max-width:899px)').matches && !$('[aria-invalid]', form)) folded.open = false;
  const chosen = new URLSearchParams(location.search).get('tri'), sort = form.tri?.value;
  const submit = () => { const q = new URLSearchParams(new FormData(form)); if (!chosen && form.tri?.value === sort) q.delete('tri'); for (const [k, v] of [...q]) if (!v) q.delete(k, v); location.assign(`${location.pathname}?${q}`); };
  form.addEventListener('change', submit);
  form.addEventListener('submit', (e) => { e.preventDefault(); submit(); });
  const views = $('.vue'); if (views) views.hidden = false;
  $$('[data-view]').forEach((b) => { b.onclick = () => { document.body.dataset.vue = b.dataset.view; $$('[data-view]').forEach((x) => x.setAttribute('aria-pressed', x === b)); scale(); }; });

  // The live line. Text and shape change with colour: live, pause, retard (late), panne (no news).
  const live = $('.live'), clock = $('[data-clock]'), pause = $('[data-pause]'), said = $('[data-said]'), waitingLine = $('[data-waiting]'), note = $('.note');
  const TEXT = { live: 'En direct', pause: 'En pause', retard: 'En retard', panne: 'Flux interrompu' };
  const NOTE = { retard: $('.note').dataset.retard, panne: $('.note').dataset.panne || 'Dernier état connu.' };
  const plain = note.textContent, paris = new Intl.DateTimeFormat('fr-FR', { timeZone: 'Europe/Paris', hour: '2-digit', minute: '2-digit', second: '2-digit' });
  // What moved during a pause and has no row of its own is asked for when it ends; after too much, the page is read anew then.
  let paused = false, missed = false, outdated = false, waiting = new Map(), state = live.dataset.s;
  pause.hidden = false;
  const duration = (s) => s === null ? 'inconnu' : s < 60 ? `${s.toFixed(1).replace('.', ',')} s` : s < 3600 ? `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s` : `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  const show = () => {
    const s = paused && state === 'live' ? 'pause' : state;
    live.dataset.s = s; $('[data-label]').textContent = TEXT[s]; note.textContent = NOTE[s] || plain;
    pause.setAttribute('aria-pressed', paused); $('span', pause).textContent = paused ? 'Reprendre' : 'Pause'; $('use', pause).setAttribute('href', paused ? '#play' : '#pause');
    waitingLine.hidden = !waiting.size && !outdated; waitingLine.textContent = outdated ? 'Beaucoup de mises à jour en attente' : waiting.size ? `${waiting.size} mise${waiting.size > 1 ? 's' : ''} à jour en attente` : '';
  };
  pause.onclick = () => { paused = !paused; if (!paused && outdated) return location.reload(); if (!paused) { apply([...waiting.values()]); waiting.clear(); if (missed) refreshSoon(); } show(); };

  // A row changes in place and never moves under a finger; totals, map and last changes follow for the chosen filters.
  function apply(changed) {
    if (!changed.length) return;
    for (const c of changed) {
      const old = document.getElementById(`p${c.id}`); if (!old) continue;
      const holder = document.createElement('template'); holder.innerHTML = c.html.trim();
      const card = holder.content.firstElementChild, km = $('.what .nb', old);
      if (km) { const p = $('.what p', card); p.append(', ', km); }
      old.replaceWith(card); card.classList.add('flash');
    }
    said.textContent = changed.length > 3 ? `${changed.length} parcours mis à jour.` : changed.map((c) => c.say).join(' ');
    refreshSoon();
  }
  let timer = 0;
  const refreshSoon = () => { timer = timer || setTimeout(refresh, 600 + Math.random() * 600); };
  async function refresh() {
    timer = 0;
    const answer = await fetch(`${location.pathname}/resume${location.search}`).catch(() => null);
    missed = paused || !answer || !answer.ok;
    // What did not come is asked for again, in a pause at its end.
    if (missed) { if (!paused) timer = timer || setTimeout(refresh, 5000); return; }
    const parts = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const open = $('.fig-m details')?.open;
    for (const part of $$('[data-part]', parts)) { const place = $(`[data-part=${part.dataset.part}]`); if (place) place.innerHTML = part.innerHTML; }
    if (open) $('.fig-m details').open = true;
    scale();
  }

  const source = new EventSource(`${location.pathname}/live?depuis=${live.dataset.from}`);
  source.addEventListener('board', (e) => {
    const m = JSON.parse(e.data); state = m.state;
    if (clock && m.as_of) { clock.textContent = paris.format(new Date(m.as_of)); clock.dateTime = m.as_of; }
    $('[data-lag]').textContent = duration(m.lag_seconds);
    if (paused) m.changed.forEach((c) => waiting.set(c.id, c)); else apply(m.changed);
    // A page of totals has no rows of its own to change: it asks for its parts anew.
    if (m.moved && live.dataset.totals !== undefined) { if (paused) missed = true; else refreshSoon(); }
    show();
  });
  source.addEventListener('reload', () => { if (paused) { outdated = true; show(); } else location.reload(); });
  source.addEventListener('error', () => { state = 'panne'; show(); });
  source.addEventListener('open', () => { state = 'live'; show(); });
})();
