'use strict';
// Where everything is on the page: rows of one height, as wide as the page,
// under headings with dates. It is arithmetic only, so that 50,000 items cost
// milliseconds; what is not in sight is never made.

{
  const gap = 6;
  const headHeight = 52;
  const listHeight = 96;
  const rowHeight = (width) => (width < 640 ? 132 : width < 1100 ? 180 : 210);

  // pictured: an item has something to see; others are cards, and so are pictures
  // that would take the browser seconds each.
  haul.pictured = (item) => (item.e === 'image' && item.s < 40e6) || item.e === 'video';

  // shape is width through height of a tile.
  haul.shape = (item) => {
    if (!haul.pictured(item)) return 1.1;
    if (item.k === 'round' || item.k === 'sticker' || !item.w || !item.h) return 1;
    return Math.min(2.6, Math.max(0.6, item.w / item.h));
  };

  // groupBy is how finely headings divide: few items a day make months, few a month years.
  const groupBy = (view) => {
    const days = new Set();
    const months = new Set();
    for (const item of view) {
      days.add(item.day);
      months.add(Math.floor(item.day / 100));
    }
    if (view.length >= 7 * days.size || days.size <= 2) return 'day';
    return view.length >= 5 * months.size || months.size <= 2 ? 'month' : 'year';
  };

  const keyOf = {day: (d) => d, month: (d) => Math.floor(d / 100), year: (d) => Math.floor(d / 10000)};

  // layOut makes rows of a view: each has top and height, and is a heading (head)
  // or tiles (from and to in the view). A view of cards alone is a list: flat
  // tiles in columns.
  haul.layOut = (view, width) => {
    const rows = [];
    const by = groupBy(view);
    const ideal = rowHeight(width);
    const columns = view.some(haul.pictured) ? 0 : Math.max(1, Math.floor(width / 300));
    let top = 0;
    const close = (from, to, shapes, full) => {
      const room = width - gap * (to - from - 1);
      const height = Math.round(full ? room / shapes : Math.min(ideal, room / shapes));
      rows.push({top, height, from, to});
      top += height + gap;
    };
    for (let i = 0; i < view.length;) {
      const key = keyOf[by](view[i].day);
      rows.push({top, height: headHeight, head: haul.headDate(view[i], by), from: i, to: i});
      top += headHeight;
      let from = i;
      let shapes = 0;
      if (columns) {
        while (i < view.length && keyOf[by](view[i].day) === key) i++;
        for (; from < i; from += columns) {
          rows.push({top, height: listHeight, from, to: Math.min(i, from + columns)});
          top += listHeight + gap;
        }
        top += 10;
        continue;
      }
      for (; i < view.length && keyOf[by](view[i].day) === key; i++) {
        const shape = haul.shape(view[i]);
        // A row is full when one more would make it lower than it should be, by
        // more than it is too high now.
        const now = (width - gap * (i - from - 1)) / shapes;
        const then = (width - gap * (i - from)) / (shapes + shape);
        if (i > from && then < ideal && now - ideal <= ideal - then) {
          close(from, i, shapes, true);
          from = i;
          shapes = 0;
        }
        shapes += shape;
      }
      const spread = (width - gap * (i - from - 1)) / shapes <= ideal * 1.15;
      close(from, i, shapes, spread);
      top += 10;
    }
    return {rows, height: top, width, columns};
  };

  // places are left and width of each tile of a row.
  haul.places = (row, view, {width, columns}) => {
    const list = [];
    let left = 0;
    if (columns) {
      const w = (width - gap * (columns - 1)) / columns;
      for (let i = row.from; i < row.to; i++) list.push({left: Math.round((i - row.from) * (w + gap)), width: Math.floor(w)});
      return list;
    }
    for (let i = row.from; i < row.to; i++) {
      let w = haul.shape(view[i]) * row.height;
      if (i === row.to - 1 && Math.abs(width - left - w) < gap) w = width - left;
      list.push({left: Math.round(left), width: Math.round(left + w) - Math.round(left)});
      left += w + gap;
    }
    return list;
  };
}
