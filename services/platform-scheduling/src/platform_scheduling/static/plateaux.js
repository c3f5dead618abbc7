// Everything works without this script; with it, time is drawn in the week, and forms show what matters for a choice.
(() => {
  'use strict';
  const $ = (s, r = document) => r.querySelector(s), $$ = (s, r = document) => [...r.querySelectorAll(s)];

  const print = $('[data-print]'); if (print) { print.hidden = false; print.onclick = () => window.print(); }

  // The starts of the chosen day only.
  const days = $('[data-days]');
  if (days) {
    const starts = days.form.debut, groups = $$('optgroup', starts);
    const narrow = () => {
      const chosen = starts.selectedOptions[0]?.parentElement;
      starts.replaceChildren(...groups.filter((g) => g.dataset.day === days.value));
      if (chosen && chosen.dataset.day !== days.value) starts.selectedIndex = 0;
    };
    days.onchange = narrow; narrow();
  }

  // To offer and to keep need different fields.
  const plan = $('[data-plan]'); if (!plan) return;
  const fit = () => $$('[data-for]', plan).forEach((f) => { f.hidden = f.dataset.for !== plan.quoi.value; });
  plan.addEventListener('change', fit); fit();

  // Time is drawn by half hours in a day of the grid; a finger scrolls, so that drawing is for a mouse or a pen.
  const clock = (column, y) => {
    const box = column.getBoundingClientRect(), hours = Number(column.dataset.hours);
    const half = Math.round((Math.min(Math.max(y - box.top, 0), box.height) / box.height) * hours * 2);
    return { half, text: `${String((Number(column.dataset.first) + Math.floor(half / 2)) % 24).padStart(2, '0')}:${half % 2 ? '30' : '00'}` };
  };
  $$('.wkg__c').forEach((column) => {
    let from = null, ghost = null;
    column.addEventListener('pointerdown', (e) => {
      if (e.pointerType === 'touch' || e.button || e.target.closest('a')) return;
      from = clock(column, e.clientY); ghost = document.createElement('div'); ghost.className = 'pc ghost'; column.append(ghost); column.setPointerCapture(e.pointerId); e.preventDefault();
    });
    column.addEventListener('pointermove', (e) => {
      if (!from) return;
      const to = clock(column, e.clientY), total = 2 * Number(column.dataset.hours), a = Math.min(from.half, to.half), b = Math.max(from.half, to.half);
      ghost.style.cssText = `top:${(100 * a) / total}%;height:${(100 * (b - a)) / total}%;left:0;width:100%`;
      ghost.textContent = a === from.half ? `${from.text} → ${to.text}` : `${to.text} → ${from.text}`;
    });
    column.addEventListener('pointerup', (e) => {
      if (!from) return;
      const to = clock(column, e.clientY), [a, b] = from.half <= to.half ? [from, to] : [to, from];
      from = null; ghost.remove();
      if (a.half === b.half) return;
      plan.jour.value = column.dataset.day; plan.debut.value = a.text; plan.fin.value = b.text;
      $('#proposer').scrollIntoView({ block: 'center' }); plan.querySelector('[name=quoi]:checked').focus();
    });
    column.addEventListener('pointercancel', () => { from = null; if (ghost) ghost.remove(); });
  });
})();
