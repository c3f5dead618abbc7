// Everything works without this script; with it, the progress of a campaign moves by itself.
(() => {
  'use strict';
  const now = () => document.getElementById('avancement');
  const look = async () => {
    const box = now();
    if (!box || !box.dataset.work) return;
    try {
      const answer = await fetch(location.pathname + '/avancement', { headers: { Accept: 'text/html' } });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById('avancement');
        // When the work is done, the page has something new to say.
        if (page && page.dataset.work === box.dataset.work) { box.replaceWith(page); } else { location.replace(location.pathname); return; }
      }
    } catch { /* the service is away: the next look may find it */ }
    setTimeout(look, 1000);
  };
  setTimeout(look, 1000);
})();
