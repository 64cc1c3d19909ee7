'use strict';
// Search, filters, keys and the URL: what a person does with the page.

{
  const {$, make, state} = haul;
  const months = new Intl.DateTimeFormat('en-GB', {month: 'short', year: 'numeric'});

  // The part of the URL after # has the state: q, type, chat, sort and item.
  const readHash = () => {
    const p = new URLSearchParams(location.hash.slice(1));
    state.q = p.get('q') || '';
    state.type = Object.hasOwn(haul.kinds, p.get('type') || '') ? p.get('type') : '';
    state.chat = haul.chats().some((c) => c.name === p.get('chat')) ? p.get('chat') : '';
    state.sort = p.get('sort') === 'old' ? 'old' : '';
    return p.get('item');
  };

  // writeHash brings the URL up to date; push adds a step to the way back.
  haul.writeHash = (push) => {
    const p = new URLSearchParams();
    for (const name of ['q', 'type', 'chat', 'sort']) if (state[name]) p.set(name, state[name]);
    if (haul.viewing()) p.set('item', haul.id(haul.viewing()));
    const hash = '#' + p;
    if (hash === (location.hash || '#')) return;
    history[push ? 'pushState' : 'replaceState'](null, '', hash);
  };

  const controls = () => {
    if ($('search').value !== state.q) $('search').value = state.q;
    $('chat').value = state.chat;
    $('sort').value = state.sort;
  };

  // update shows what state asks for.
  const update = () => {
    const counts = haul.choose();
    drawKinds(counts);
    drawMonths();
    const n = haul.view.length;
    const bytes = haul.view.reduce((sum, item) => sum + item.s, 0);
    const what = n === haul.total() ? `${n.toLocaleString('en')} items` : `${n.toLocaleString('en')} of ${haul.total().toLocaleString('en')} items`;
    $('summary').textContent = haul.loading() ? `${what}, reading on…` : `${what} · ${haul.bytes(bytes)}`;
    $('none').hidden = n > 0 || haul.loading();
    haul.show();
  };

  const drawKinds = (counts) => {
    const all = Object.values(counts).reduce((a, b) => a + b, 0);
    const list = [['', 'All', all], ...Object.entries(haul.kinds).map(([k, [, name]]) => [k, name, counts[k] || 0])];
    const focused = document.activeElement?.dataset.kind;
    $('kinds').replaceChildren(...list.filter(([k, , n]) => n > 0 || k === '' || k === state.type).map(([k, name, n]) => {
      const b = make('button', 'chip', name + ' ', make('span', 'count', n.toLocaleString('en')));
      b.dataset.kind = k;
      b.setAttribute('aria-pressed', String(state.type === k));
      return b;
    }));
    if (focused !== undefined) $('kinds').querySelector(`[data-kind="${focused}"]`)?.focus();
  };

  const drawMonths = () => {
    const seen = new Set(haul.view.map((item) => Math.floor(item.day / 100)));
    const option = (value, text) => Object.assign(make('option', '', text), {value});
    $('jump').replaceChildren(option('', 'Go to…'), ...[...seen].map((m) => option(m, months.format(new Date(Math.floor(m / 100), m % 100 - 1)))));
    $('jump').hidden = seen.size < 2;
  };

  const change = (what) => {
    Object.assign(state, what);
    haul.writeHash(false);
    scrollTo(0, 0);
    update();
  };

  const clear = () => {
    change({q: '', type: '', chat: ''});
    controls();
  };

  $('search').addEventListener('input', () => change({q: $('search').value}));
  $('chat').addEventListener('change', () => change({chat: $('chat').value}));
  $('sort').addEventListener('change', () => change({sort: $('sort').value}));
  $('jump').addEventListener('change', () => {
    haul.goTo(Number($('jump').value));
    $('jump').value = '';
  });
  $('kinds').addEventListener('click', (e) => {
    const b = e.target.closest('.chip');
    if (b) change({type: b.dataset.kind === state.type ? '' : b.dataset.kind});
  });
  $('clear').addEventListener('click', clear);
  $('keys').addEventListener('click', () => $('help').showModal());

  // playKey is the space bar in the grid.
  const playKey = () => {
    const item = haul.view[haul.current()];
    if (!item) return;
    if (item.e === 'audio') haul.play(item);
    else haul.open(item);
  };

  const gridKey = (e) => {
    const inGrid = $('grid').contains(document.activeElement) || document.activeElement === document.body;
    switch (e.key) {
      case 'ArrowLeft': case 'ArrowRight': case 'ArrowUp': case 'ArrowDown': case 'Home': case 'End':
        if (!inGrid || !haul.view.length) return false;
        haul.move(e.key);
        return true;
      case ' ':
        if (!inGrid || !$('grid').contains(document.activeElement)) return false;
        playKey();
        return true;
      case '/':
        $('search').focus();
        $('search').select();
        return true;
      case '?':
        $('help').showModal();
        return true;
      case 'Escape':
        if (!state.q && !state.type) return false;
        clear();
        return true;
    }
    return false;
  };

  // searchKey is a key in the search field.
  const searchKey = (e) => {
    switch (e.key) {
      case 'Escape':
        if (state.q) {
          change({q: ''});
          controls();
        } else {
          $('search').blur();
        }
        return true;
      case 'ArrowDown':
      case 'Enter':
        if (haul.view.length) haul.focusTile(0);
        return true;
    }
    return false;
  };

  document.addEventListener('keydown', (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
    let done;
    if ($('help').open) return;
    if (e.target === $('search')) done = searchKey(e);
    else if (e.target.matches('input, select')) return;
    else if (haul.viewing()) done = !(e.key === ' ' && e.target.matches('button, a')) && haul.viewerKey(e);
    else if (!e.target.matches('audio')) done = gridKey(e);
    if (done) e.preventDefault();
  }, true);
  // A button is pressed when the space bar is let go of.
  document.addEventListener('keyup', (e) => { if (e.key === ' ' && $('grid').contains(e.target)) e.preventDefault(); }, true);

  const follow = (id) => {
    const item = id && haul.byId(id);
    if (!item) {
      haul.closeViewer();
    } else if (haul.viewing() !== item) {
      haul.open(item, false);
    }
  };

  addEventListener('popstate', () => {
    const id = readHash();
    controls();
    update();
    follow(id);
  });

  const start = async () => {
    const chats = haul.chats();
    const title = chats.length === 1 ? chats[0].name : `${chats.length} chats`;
    $('title').textContent = document.title = title;
    const option = (value, text) => Object.assign(make('option', '', text), {value});
    $('chat').replaceChildren(option('', 'All chats'), ...chats.map((c) => option(c.name, c.name)));
    $('chat').hidden = chats.length < 2;
    let wanted = readHash();
    controls();
    update();
    let shown = 0;
    try {
      await haul.loadAll(() => {
        // Each chunk is shown at first; then seldom, since there may be hundreds.
        const now = performance.now();
        if (haul.loading() && haul.all.length > 3000 && now - shown < 400) return;
        update();
        shown = performance.now();
        if (wanted && haul.byId(wanted)) {
          follow(wanted);
          wanted = '';
        }
      });
    } catch (err) {
      $('summary').textContent = err.message;
    }
    performance.mark('complete');
    document.documentElement.dataset.ready = 'true';
  };
  start();
}
