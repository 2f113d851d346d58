// What is done to the page, told to the device behind it: window.told(event) takes {kind, id, text} and returns the
// next screen. Typing is told when it is done: before the next event, or when flush() is called. Events are told one
// after the other.
(() => {
  const NAMED = ['Enter', 'Escape', 'Tab', 'PageUp', 'PageDown', 'ArrowUp', 'ArrowDown'];
  let last = Promise.resolve(), focused = null, typed = null;
  const owner = node => node instanceof Element ? node.closest('[data-id]') : null;
  const isText = node => node instanceof HTMLInputElement && /^(text|password)$/.test(node.type);
  const show = html => {
    if (typeof html !== 'string') return;
    document.body.innerHTML = html;
    focused = typed = null;
    const field = document.querySelector('[data-focus]');
    if (!field) return;
    quiet = true;
    field.focus();
    if (isText(field)) field.setSelectionRange(field.value.length, field.value.length);
    quiet = false;
  };
  let quiet = false;
  const tell = (kind, id, text) => {
    last = last.then(() => window.told({kind, id: Number(id) || 0, text: text || ''})).then(show);
    return last;
  };
  const pending = () => {
    const [field, text] = [focused, typed];
    focused = typed = null;
    if (text !== null) tell('type', field.dataset.id, text);
    else if (field) tell('click', field.dataset.id);
  };
  window.show = show;
  window.flush = async () => {
    pending();
    let seen;
    do { seen = last; await seen; } while (seen !== last);
    return true;
  };
  const on = (kind, work) => document.addEventListener(kind, work, true);
  on('focusin', event => {
    const field = owner(event.target);
    if (quiet || !field || !field.matches('input[type=text], input[type=password], select, input[type=range]')) return;
    if (focused && focused !== field) pending();
    focused = field;
  });
  on('mousedown', event => {
    const field = owner(event.target);
    if (field && field === document.activeElement && isText(field) && !focused) focused = field;
    if (event.target instanceof HTMLSelectElement) event.preventDefault(), event.target.focus();
  });
  on('input', event => {
    const field = owner(event.target);
    if (field && isText(field)) { focused = field; typed = field.value; }
  });
  on('change', event => {
    const field = owner(event.target);
    if (!field || !field.matches('select, input[type=range]')) return;
    focused = null;
    tell('select', field.dataset.id, field.value);
  });
  on('click', event => {
    const widget = owner(event.target);
    if (!widget || isText(widget) || widget.matches('select, input[type=range]')) return;
    event.preventDefault();
    const toggles = widget.matches('[type=checkbox], [role=switch]');
    if (event.detail > 1 && !toggles) return;
    pending();
    tell('click', widget.dataset.id);
  });
  on('wheel', event => {
    pending();
    const [x, y] = [event.deltaX, event.deltaY];
    tell('scroll', 0, Math.abs(x) > Math.abs(y) ? (x > 0 ? 'right' : 'left') : y > 0 ? 'down' : 'up');
  });
  on('keydown', event => {
    if (!NAMED.includes(event.key)) return;
    if (event.key === 'Enter' && event.target instanceof HTMLButtonElement) return;
    event.preventDefault();
    if (typed !== null) pending(); else focused = null;
    tell('press', 0, event.key);
  });
  on('submit', event => event.preventDefault());
  window.addEventListener('popstate', () => {
    history.pushState(null, '');
    pending();
    tell('back');
  });
})();
