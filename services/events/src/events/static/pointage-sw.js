// Keeps the page of a session's door, and what it needs, for a day: it opens again without a network.
'use strict';
const CACHE = 'pointage', DAY = 864e5, PATIENCE = 4000;
self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (e) => e.waitUntil(self.clients.claim()));
self.addEventListener('fetch', (e) => {
  const { pathname } = new URL(e.request.url);
  if (e.request.method !== 'GET' || !(pathname.endsWith('/pointage') || pathname.startsWith('/static/'))) return;
  e.respondWith((async () => {
    const cache = await caches.open(CACHE);
    try {
      // A network that answers nothing is no network: after four seconds the kept page is shown.
      const kept = await cache.match(e.request);
      const answer = await fetch(e.request, kept ? { signal: AbortSignal.timeout(PATIENCE) } : {});
      if (answer.ok && !answer.redirected) await cache.put(e.request, answer.clone());
      return answer;
    } catch (error) {
      const kept = await cache.match(e.request);
      if (!kept) throw error;
      // The names of yesterday's families are not shown to whoever finds the device.
      if (pathname.endsWith('/pointage') && Date.now() - Date.parse(kept.headers.get('date')) > DAY) { await cache.delete(e.request); throw error; }
      return kept;
    }
  })());
});
