'use strict';
// The items: how they come from the disk, and which of them are shown.

haul.all = []; // all that are loaded, oldest first
haul.view = []; // those that are shown, in order of the page
haul.state = {q: '', type: '', chat: '', sort: ''};

{
  const groups = new Map(); // albums: chat and id, to their items
  const thumbs = new Map(); // chunk, to its inline thumbnails
  const waiting = new Map(); // chunk, to who waits for its thumbnails
  let contents = {chats: [], chunks: [], items: 0};
  let left = 0; // chunks that are not loaded yet; the newest come first
  let changed = () => {};

  // contents, items and thumbs are called by the data files.
  haul.contents = (c) => { contents = c; };

  haul.items = (n, list) => {
    list.forEach((item, i) => {
      item.chunk = n;
      item.index = i;
      const d = new Date(item.t * 1000);
      item.day = (d.getFullYear() * 100 + d.getMonth() + 1) * 100 + d.getDate();
    });
    for (const item of list.filter((i) => i.g)) {
      const id = item.c + '/' + item.g;
      if (!groups.has(id)) groups.set(id, []);
      groups.get(id).push(item);
    }
    haul.all = list.concat(haul.all);
  };

  haul.thumbs = (n, list) => {
    thumbs.set(n, list);
    for (const use of waiting.get(n) || []) use();
    waiting.delete(n);
  };

  const load = (file) => new Promise((done, failed) => {
    const s = document.createElement('script');
    s.src = file;
    s.onload = () => { s.remove(); done(); };
    s.onerror = () => failed(new Error(`${file} cannot be read. Run haul gallery again.`));
    document.head.append(s);
  });

  haul.chats = () => contents.chats;
  haul.total = () => contents.items;
  haul.loading = () => left > 0;

  // loadAll loads all chunks, the newest first, and tells of each.
  haul.loadAll = async (tell) => {
    changed = tell;
    left = contents.chunks.length;
    while (left > 0) {
      await load(contents.chunks[left - 1].file);
      left--;
      changed();
    }
  };

  haul.album = (item) => (item.g ? groups.get(item.c + '/' + item.g).sort((a, b) => a.m - b.m) : [item]);

  // captionOf is the caption of an item, or that of its album.
  haul.captionOf = (item) => item.x || (item.g && haul.album(item).map((i) => i.x).find(Boolean)) || '';

  haul.id = (item) => `${contents.chats[item.c].name}/${item.m}/${item.d}`;
  haul.byId = (id) => haul.all.find((item) => haul.id(item) === id);
  haul.url = (item) => '../' + item.u;

  // small is the thumbnail that was fetched of an item, if one was.
  haul.small = (item) => item.p && '../' + item.p;

  // thumb gives a thumbnail of an item as a URL, now or later; it may have none.
  haul.thumb = (item, use) => {
    if (item.p) {
      use(haul.small(item));
      return;
    }
    const chunk = contents.chunks[item.chunk];
    if (!chunk.thumbs) return;
    const list = thumbs.get(item.chunk);
    if (list) {
      if (list[item.index]) use(unstrip(list[item.index]));
      return;
    }
    if (!waiting.has(item.chunk)) {
      waiting.set(item.chunk, []);
      load(chunk.thumbs).catch(() => {}); // then there are none
    }
    waiting.get(item.chunk).push(() => haul.thumb(item, use));
  };

  // unstrip puts around an inline thumbnail what all of them have in common.
  const unstrip = (stripped) => {
    const body = atob(stripped);
    const frame = atob(contents.frame);
    const size = (at, from) => frame.slice(from, at) + body[from === 0 ? 1 : 2];
    return 'data:image/jpeg;base64,' + btoa(size(164, 0) + size(166, 165) + frame.slice(167) + body.slice(3) + atob(contents.frameEnd));
  };

  const plain = (text) => text.toLowerCase().normalize('NFKD').replace(/\p{M}/gu, '');

  // words is what is searched of an item.
  const words = (item) => {
    if (item.words === undefined) {
      const d = String(item.day);
      item.words = plain([haul.captionOf(item), item.n, item.a || '', haul.kinds[item.k][0], contents.chats[item.c].name,
        `${d.slice(0, 4)}-${d.slice(4, 6)}-${d.slice(6)}`, haul.headDate(item, 'month'), '#' + item.m].join('\n'));
    }
    return item.words;
  };

  // choose makes haul.view of haul.all, and returns how many there are of each kind.
  haul.choose = () => {
    const {q, type, chat, sort} = haul.state;
    const wanted = plain(q).split(/\s+/).filter(Boolean);
    const counts = {};
    const found = haul.all.filter((item) => {
      if (chat && contents.chats[item.c].name !== chat) return false;
      if (wanted.length && !wanted.every((w) => words(item).includes(w))) return false;
      counts[item.k] = (counts[item.k] || 0) + 1;
      return !type || item.k === type;
    });
    haul.view = sort === 'old' ? found : newestFirst(found);
    haul.view.forEach((item, i) => { item.at = i; });
    return counts;
  };

  // newestFirst turns the order around, but not that within albums.
  const newestFirst = (list) => {
    const out = [];
    for (let end = list.length; end > 0;) {
      let from = end - 1;
      while (from > 0 && list[end - 1].g && list[from - 1].g === list[end - 1].g && list[from - 1].c === list[end - 1].c) from--;
      for (let i = from; i < end; i++) out.push(list[i]);
      end = from;
    }
    return out;
  };
}
