// Everything works without this script; with it, a problem is read at once and map labels keep one size.
(() => {
  'use strict';
  document.documentElement.classList.add('js');
  const $ = (s) => document.querySelector(s);
  const scale = () => document.querySelectorAll('.map').forEach((m) => { const r = m.getBoundingClientRect(); if (r.width) m.style.setProperty('--k', m.viewBox.baseVal.width / r.width); });
  scale(); addEventListener('resize', scale);
  const said = $('#probleme'); if (said) said.focus();
  // One click, one command: the button says that it is under way.
  document.addEventListener('submit', (e) => { const b = e.target.querySelector('button:not([type=button])'); if (b && e.target.method === 'post') { b.setAttribute('aria-disabled', 'true'); setTimeout(() => { b.disabled = true; }); } });
})();
