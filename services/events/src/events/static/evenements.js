// Everything works without this script; with it, pages print, and the door reads codes and waits for the network.
(() => {
  'use strict';
  const $ = (s, r = document) => r.querySelector(s), $$ = (s, r = document) => [...r.querySelectorAll(s)];
  const print = $('[data-print]'); if (print) { print.hidden = false; print.onclick = () => window.print(); }
  const made = $('#fait'); if (made) made.focus();

  const door = $('#porte'); if (!door) return;
  const here = location.pathname, store = `pointage:${door.dataset.session}`;
  // What was read and not yet sent stays on the device, also when the page is closed.
  const load = () => { try { return JSON.parse(localStorage.getItem(store)) || []; } catch { return []; } };
  const keep = (list) => { if (list.length) localStorage.setItem(store, JSON.stringify(list)); else localStorage.removeItem(store); };
  // A device forgets a session two days after it.
  if (Date.now() > Date.parse(door.dataset.ends) + 2 * 864e5) localStorage.removeItem(store);
  if ('serviceWorker' in navigator) navigator.serviceWorker.register('/pointage-sw.js', { scope: '/seances/' }).catch(() => {});

  const rows = new Map($$('[data-list] li').map((li) => [li.dataset.code, li]));
  const verdict = $('[data-verdict]'), queueText = $('[data-queue]'), netText = $('[data-net-text]');
  const say = (text, kind) => { verdict.hidden = false; verdict.className = `card say ${kind}`; verdict.textContent = text; };
  const came = () => { $('[data-came]').textContent = [...rows.values()].reduce((n, li) => n + Number(li.dataset.came || 0), 0); };
  let away = !navigator.onLine;
  const show = () => { const n = load().length; queueText.textContent = n; netText.textContent = n && away ? 'hors réseau : gardé sur l’appareil' : n ? 'à envoyer' : 'tout est envoyé'; };
  const mark = (li, count) => { li.dataset.came = count; $('[data-state]', li).textContent = count ? `${count} / ${li.dataset.seats} venus` : 'pas encore venus'; const b = $('[data-in]', li); b.firstChild.textContent = count ? 'Corriger' : 'Pointer'; came(); };
  $$('[data-list] li').forEach((li) => { const text = $('[data-state]', li).textContent.match(/^(\d+) \//); if (text) li.dataset.came = text[1]; });

  // A reading has an id of its own, so that it counts once however often it is sent; `randomUUID` is not there without https.
  const drawn = () => crypto.randomUUID?.() ?? '10000000-1000-4000-8000-100000000000'.replace(/[018]/g, (c) => (c ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (c / 4)))).toString(16));
  const read = (typed, count) => {
    const code = typed.toUpperCase().replace(/[\s-]/g, ''), li = rows.get(code);
    const seats = li ? Number(li.dataset.seats) : null, n = count === '' || count == null ? seats : Math.min(Number(count), seats ?? Number(count));
    const known = li && Number(li.dataset.came || 0);
    keep([...load(), { reading_id: drawn(), code, at: new Date().toISOString(), ...(n == null ? {} : { visitor_count: n }) }]);
    if (!li) say(`${code} : inconnu sur cet appareil, à vérifier avec le réseau.`, 'say--no');
    else { const title = $('b', li).textContent; say(known && known === n ? `${title} : déjà pointé (${n}).` : `${title} : ${n} ${n > 1 ? 'personnes' : 'personne'}.`, known && known === n ? 'badge--age' : 'say--ok'); mark(li, n); }
    show(); send();
  };
  let sending = false;
  async function send() {
    const list = load().slice(0, 500);
    if (sending || !list.length) return;
    sending = true;
    try {
      const body = new URLSearchParams({ csrf: door.dataset.csrf, lectures: JSON.stringify(list) });
      const answer = await fetch(here, { method: 'POST', body, headers: { accept: 'application/json' }, signal: AbortSignal.timeout(8000) });
      away = false;
      if (answer.status === 401 || answer.redirected) { say('Votre session a expiré : reconnectez-vous, rien n’est perdu.', 'say--no'); return; }
      if (answer.ok) {
        const { receipts } = await answer.json();
        // What was read while this was under way stays, also in another window; only what was sent goes.
        const sent = new Set(list.map((one) => JSON.stringify(one)));
        keep(load().filter((one) => !sent.has(JSON.stringify(one))));
        const told = receipts.filter((one) => one.detail);
        if (told.length) say(told.map((one) => `${one.code} : ${one.detail}`).join(' '), 'say--no');
      }
    } catch { away = true; /* It stays, and goes with the next try. */ } finally { sending = false; show(); }
  }
  show(); send(); setInterval(send, 5000); addEventListener('online', send); addEventListener('offline', () => { away = true; show(); });

  $$('[data-in]').forEach((b) => { b.hidden = false; b.onclick = () => { const li = b.closest('li'), now = Number(li.dataset.came || 0); const typed = now ? prompt('Combien sont venus ? (0 : personne)', now) : li.dataset.seats; if (typed !== null && /^\d+$/.test(typed)) read(li.dataset.code, typed); }; });
  const typedForm = $('[data-typed]');
  typedForm.addEventListener('submit', (e) => { e.preventDefault(); e.stopPropagation(); read(typedForm.code.value, typedForm.personnes.value); typedForm.reset(); typedForm.code.focus(); }, true);
  const filter = $('[data-filter]'); filter.oninput = () => { const t = filter.value.toLowerCase(); rows.forEach((li) => { li.hidden = t && !li.textContent.toLowerCase().includes(t); }); };
  const forget = $('[data-forget]'); forget.hidden = false;
  forget.onclick = async () => { if (load().length && !confirm('Des lectures ne sont pas envoyées : les effacer quand même ?')) return; localStorage.removeItem(store); for (const k of await caches.keys()) await caches.delete(k); location.assign('/mes-evenements'); };

  // The camera: the browser's own reader where it has one, jsQR elsewhere.
  const scan = $('[data-scan]'), video = $('video');
  if (!navigator.mediaDevices?.getUserMedia) return;
  scan.hidden = false;
  scan.onclick = async () => {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } }).catch(() => null);
    if (!stream) return say('L’appareil photo n’est pas accessible : tapez le code.', 'say--no');
    video.srcObject = stream; video.hidden = false; scan.hidden = true; await video.play();
    let find;
    if ('BarcodeDetector' in window) { const detector = new BarcodeDetector({ formats: ['qr_code'] }); find = async () => (await detector.detect(video))[0]?.rawValue; }
    else {
      await new Promise((done, failed) => { const s = document.createElement('script'); s.src = '/static/jsqr.js'; s.onload = done; s.onerror = failed; document.head.append(s); });
      const canvas = document.createElement('canvas'), draw = canvas.getContext('2d', { willReadFrequently: true });
      find = async () => { canvas.width = video.videoWidth; canvas.height = video.videoHeight; if (!canvas.width) return; draw.drawImage(video, 0, 0); const p = draw.getImageData(0, 0, canvas.width, canvas.height); return jsQR(p.data, p.width, p.height)?.data; };
    }
    let last = '', at = 0;
    const look = async () => {
      const code = await find().catch(() => null);
      if (code && (code !== last || Date.now() > at + 4000)) { last = code; at = Date.now(); read(code); navigator.vibrate?.(60); }
      setTimeout(look, 200);
    };
    look();
  };
})();
