// A field that proposes while one types (ARIA combobox with a list); without this script the server asks which one was meant.
(() => {
  'use strict';
  const WAIT_MS = 120;
  document.querySelectorAll('[data-combobox]').forEach((box, number) => {
    const input = box.querySelector('input'), list = document.createElement('ul'), said = document.createElement('p');
    list.id = `propositions-${number}`; list.setAttribute('role', 'listbox'); list.hidden = true;
    list.setAttribute('aria-label', 'Propositions');
    said.className = 'vh'; said.setAttribute('aria-live', 'polite');
    box.append(list, said);
    for (const [name, value] of Object.entries({ role: 'combobox', 'aria-autocomplete': 'list', 'aria-controls': list.id, 'aria-expanded': 'false' })) input.setAttribute(name, value);
    let active = -1, timer = 0, asked = 0;
    const options = () => [...list.children];

    const close = () => { clearTimeout(timer); asked += 1; list.hidden = true; active = -1; input.setAttribute('aria-expanded', 'false'); input.removeAttribute('aria-activedescendant'); };
    const mark = (index) => {
      active = index;
      options().forEach((o, i) => o.setAttribute('aria-selected', i === index));
      const o = options()[index];
      if (o) { input.setAttribute('aria-activedescendant', o.id); o.scrollIntoView({ block: 'nearest' }); } else input.removeAttribute('aria-activedescendant');
    };
    const choose = (o) => { input.value = o.dataset.value; close(); said.textContent = ''; input.dispatchEvent(new Event('change', { bubbles: true })); };
    const show = (found) => {
      // Typed to its end, nothing is left to choose: a list would only cover what comes next.
      if (found.some((one) => one.value === input.value.trim())) { said.textContent = ''; return close(); }
      list.replaceChildren(...found.map(({ value, text }, i) => {
        const o = document.createElement('li');
        o.id = `${list.id}-${i}`; o.setAttribute('role', 'option'); o.setAttribute('aria-selected', 'false'); o.dataset.value = value; o.textContent = text;
        return o;
      }));
      said.textContent = found.length ? `${found.length} proposition${found.length > 1 ? 's' : ''}` : 'Aucune proposition';
      if (!found.length || document.activeElement !== input) return close();
      list.hidden = false; input.setAttribute('aria-expanded', 'true'); mark(-1);
    };
    // Only the newest question is answered; where the network fails, the server asks when the form is sent.
    const ask = async () => {
      const mine = asked += 1, text = input.value.trim();
      if (text.length < 2) return close();
      const answer = await fetch(`${box.dataset.combobox}?q=${encodeURIComponent(text)}`).catch(() => null);
      const found = answer?.ok ? await answer.json() : [];
      if (mine === asked) show(found);
    };

    input.addEventListener('input', () => {
      box.parentElement.querySelectorAll('[type=radio]').forEach((r) => { r.checked = false; });
      clearTimeout(timer); timer = setTimeout(ask, WAIT_MS);
    });
    input.addEventListener('keydown', (e) => {
      if (e.isComposing) return;
      const count = list.hidden ? 0 : list.children.length;
      if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
        e.preventDefault();
        if (!count) return void ask();
        // Past either end is the text again.
        mark(((active + 1 + (e.key === 'ArrowDown' ? 1 : -1) + count + 1) % (count + 1)) - 1);
      } else if (e.key === 'Enter' && count && active >= 0) { e.preventDefault(); choose(options()[active]); }
      else if (e.key === 'Escape' && count) { e.preventDefault(); close(); }
    });
    input.addEventListener('blur', close);
    // The field keeps the focus while an option is touched, so that it does not send what was not finished.
    list.addEventListener('pointerdown', (e) => e.preventDefault());
    list.addEventListener('mousedown', (e) => e.preventDefault());
    list.addEventListener('click', (e) => { const o = e.target.closest('li'); if (o) choose(o); });
  });
})();
