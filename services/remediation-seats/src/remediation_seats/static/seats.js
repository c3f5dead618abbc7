// A counter that would say more taken than there are is stopped before it is sent.
document.querySelectorAll('form.count').forEach((f) => f.addEventListener('input', () => { const [total, taken] = [f.total_count, f.taken_count]; taken.setCustomValidity(+taken.value > +total.value ? 'Plus de places occupées que de places.' : ''); }));
