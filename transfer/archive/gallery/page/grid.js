'use strict';
// The grid: the tiles that are in sight or nearly so, and the one that the
// keyboard is at.

{
  const {$, make} = haul;
  const near = 700; // pixels above and below the window in which tiles are made
  const rest = 90; // milliseconds without scrolling until tiles are woken
  const grid = $('grid');
  let plan = {rows: [], height: 0, width: 0};
  let made = new Map(); // row, to its elements
  let current = 0; // index in the view
  let resting = 0;
  let drawing = 0;

  const offset = () => grid.getBoundingClientRect().top + scrollY;
  const barHeight = () => $('bar').offsetHeight;

  // firstBelow is the first row that ends below y.
  const firstBelow = (y) => {
    let low = 0;
    let high = plan.rows.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (plan.rows[mid].top + plan.rows[mid].height < y) low = mid + 1;
      else high = mid;
    }
    return low;
  };

  const place = (e, top, left, width, height) => {
    e.style.transform = `translate(${left}px, ${top}px)`;
    e.style.width = width + 'px';
    e.style.height = height + 'px';
  };

  const makeRow = (row) => {
    if (row.head) {
      const h = make('h2', 'head', row.head);
      place(h, row.top, 0, plan.width, row.height);
      return [h];
    }
    return haul.places(row, haul.view, plan).map((p, i) => {
      const tile = haul.tile(haul.view[row.from + i]);
      place(tile, row.top, p.left, p.width, row.height);
      if (row.from + i === current) tile.face.tabIndex = 0;
      mark(tile);
      return tile;
    });
  };

  const drop = (e) => (e.face ? haul.drop(e) : e.remove());

  // mark shows on a tile that it is being played.
  const mark = (tile) => {
    const sign = tile.face.querySelector('.sign.play use');
    if (!sign) return;
    const playing = haul.playing() === tile.item;
    tile.classList.toggle('playing', playing);
    sign.setAttribute('href', playing ? '#i-pause' : '#i-play');
  };

  haul.markTiles = () => { for (const list of made.values()) list.filter((e) => e.face).forEach(mark); };

  // draw makes the rows near the window, and drops the others, but for the one
  // that has the focus.
  const draw = () => {
    drawing = 0;
    const from = scrollY - offset();
    const to = from + innerHeight;
    const keep = new Set();
    for (let i = firstBelow(from - near); i < plan.rows.length && plan.rows[i].top < to + near; i++) {
      const row = plan.rows[i];
      keep.add(row);
      if (!made.has(row)) {
        const list = makeRow(row);
        made.set(row, list);
        grid.append(...list);
      }
    }
    for (const [row, list] of made) {
      if (!keep.has(row) && !list.some((e) => e.contains(document.activeElement))) {
        list.forEach(drop);
        made.delete(row);
      }
    }
    clearTimeout(resting);
    resting = setTimeout(wake, rest);
  };

  // wake wakes what is in the window, and the pictures next to it.
  const wake = () => {
    const from = scrollY - offset();
    const to = from + innerHeight;
    for (const [row, list] of made) {
      const reach = (extra) => row.top + row.height > from - extra && row.top < to + extra;
      for (const tile of list) {
        if (tile.item && reach(tile.item.e === 'video' ? 0 : 300)) haul.wake(tile);
      }
    }
  };

  const drawSoon = () => { drawing ||= requestAnimationFrame(draw); };

  // show lays the view out anew. The place on the page stays.
  haul.show = () => {
    const width = grid.clientWidth;
    const focused = grid.contains(document.activeElement);
    plan = haul.layOut(haul.view, width);
    grid.style.height = plan.height + 'px';
    grid.classList.toggle('list', plan.columns > 0);
    for (const list of made.values()) list.forEach(drop);
    made = new Map();
    current = Math.min(current, Math.max(0, haul.view.length - 1));
    draw();
    if (focused) haul.focusTile(current);
  };

  const rowOf = (i) => plan.rows.find((r) => !r.head && i >= r.from && i < r.to);

  // reveal scrolls so that a row is in the window.
  const reveal = (row) => {
    const top = offset() + row.top;
    const above = top - barHeight() - 12;
    const below = top + row.height - innerHeight + ($('player').hidden ? 12 : 100);
    if (scrollY > above) scrollTo(0, above);
    else if (scrollY < below) scrollTo(0, below);
    draw();
  };

  // focusTile moves the keyboard to an item of the view.
  haul.focusTile = (i) => {
    const row = rowOf(i);
    if (!row) return;
    const old = tileAt(current);
    if (old) old.face.tabIndex = -1;
    current = i;
    reveal(row);
    const tile = tileAt(i);
    tile.face.tabIndex = 0;
    tile.face.focus({preventScroll: true});
  };

  const tileAt = (i) => {
    for (const list of made.values()) {
      for (const e of list) if (e.item && e.item.at === i) return e;
    }
    return undefined;
  };

  haul.current = () => current;

  // step is the index of the tile in a direction.
  const step = (key) => {
    const last = haul.view.length - 1;
    switch (key) {
      case 'Home': return 0;
      case 'End': return last;
      case 'ArrowLeft': return Math.max(0, current - 1);
      case 'ArrowRight': return Math.min(last, current + 1);
    }
    const row = rowOf(current);
    if (!row) return current;
    const tiles = plan.rows.filter((r) => !r.head);
    const other = tiles[tiles.indexOf(row) + (key === 'ArrowUp' ? -1 : 1)];
    if (!other) return current;
    const middle = (p) => p.left + p.width / 2;
    const here = middle(haul.places(row, haul.view, plan)[current - row.from]);
    const distances = haul.places(other, haul.view, plan).map((p) => Math.abs(middle(p) - here));
    return other.from + distances.indexOf(Math.min(...distances));
  };

  haul.move = (key) => haul.focusTile(grid.contains(document.activeElement) ? step(key) : current);

  // goTo scrolls to the first item of a month, as 202403.
  haul.goTo = (month) => {
    const i = haul.view.findIndex((item) => Math.floor(item.day / 100) === month);
    const row = rowOf(i);
    if (!row) return;
    const head = plan.rows[plan.rows.indexOf(row) - 1];
    scrollTo(0, offset() + (head.head ? head.top : row.top) - barHeight());
    draw();
  };

  const itemOf = (e) => e.target.closest('.tile')?.item;

  grid.addEventListener('click', (e) => {
    const item = itemOf(e);
    if (!item) return;
    const old = tileAt(current);
    if (old) old.face.tabIndex = -1;
    current = item.at;
    e.target.closest('.tile').face.tabIndex = 0;
    if (item.e === 'audio' && e.detail > 0) haul.play(item); // a pointer; Enter opens
    else haul.open(item);
  });

  addEventListener('scroll', drawSoon, {passive: true});
  let lastWidth = 0;
  new ResizeObserver(() => {
    if (grid.clientWidth !== lastWidth) {
      lastWidth = grid.clientWidth;
      haul.show();
    } else {
      drawSoon();
    }
  }).observe(document.documentElement);
}
