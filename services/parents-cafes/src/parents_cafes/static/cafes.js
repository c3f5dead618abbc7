// Everything works without this script; with it, a phone says where it is, pages print, and what was done is read out.
(() => {
  'use strict';
  const $ = (s) => document.querySelector(s);
  const print = $('[data-print]'); if (print) { print.hidden = false; print.onclick = () => window.print(); }
  const made = $('#fait'); if (made) made.focus();

  const near = $('[data-near]');
  if (!near || !navigator.geolocation) return;
  near.hidden = false;
  near.onclick = () => {
    near.disabled = true; $('[data-near-text]').textContent = 'Recherche…';
    navigator.geolocation.getCurrentPosition(
      // To about a kilometre: the commune is all that is asked for.
      ({ coords }) => location.assign(`/pres-de-moi?lat=${coords.latitude.toFixed(2)}&lon=${coords.longitude.toFixed(2)}`),
      () => location.assign('/cafes?loin=1'),
      { maximumAge: 600000, timeout: 8000 },
    );
  };
})();
