'use strict';
// One tile of the grid. A tile is made when it comes near the window; what it
// shows is read from the disk when it is woken, which is when scrolling rests.

{
  const {make, icon} = haul;
  const playable = (item) => item.e === 'audio';
  const moving = (item) => item.e === 'video';

  // labelOf is what a screen reader says.
  const labelOf = (item) => {
    const parts = [haul.kinds[item.k][0], item.a, item.e ? '' : item.n,
      item.l ? haul.duration(item.l) : '', haul.shortDate(item), haul.captionOf(item)];
    return parts.filter(Boolean).join(', ').slice(0, 300);
  };

  const extension = (item) => (/\.([A-Za-z0-9]{1,5})$/.exec(item.n) || ['', 'file'])[1];

  // Colours of file signs, as hues; what has none is grey.
  const hues = {pdf: 4, zip: 32, rar: 32, gz: 32, '7z': 32, txt: 212, md: 212, json: 212, csv: 152, xls: 152, xlsx: 152, doc: 228, docx: 228, ppt: 16, pptx: 16, epub: 280, html: 330, svg: 330, apk: 120};

  // card is a tile without a picture.
  const card = (item) => {
    const face = make('button', 'face card');
    const sign = make('span', 'sign');
    if (playable(item)) {
      sign.classList.add('play');
      sign.append(icon('play'));
    } else {
      sign.textContent = extension(item).toUpperCase();
      const hue = hues[extension(item).toLowerCase()];
      if (hue) sign.style.setProperty('--sign', `hsl(${hue} 48% 46%)`);
    }
    const name = make('bdi', 'name', item.a || (item.k === 'voice' ? 'Voice message' : item.n));
    const facts = [item.l ? haul.duration(item.l) : '', haul.bytes(item.s), haul.shortDate(item)].filter(Boolean).join(' · ');
    const text = make('span', 'text', name, make('span', 'facts', facts));
    const caption = haul.captionOf(item);
    if (caption) {
      const c = make('span', 'caption', caption);
      c.dir = 'auto';
      text.append(c);
    }
    face.append(sign, text);
    return face;
  };

  // picture is a tile with one.
  const picture = (item) => {
    const face = make('button', 'face picture ' + item.k);
    haul.thumb(item, (url) => {
      if (face.querySelector('.full.shown')) return;
      const t = make('img', item.p ? 'thumb clear' : 'thumb');
      t.alt = '';
      t.src = url;
      face.prepend(t);
    });
    const marks = make('span', 'marks');
    if (moving(item)) marks.append(make('span', 'mark', item.k === 'animation' ? 'GIF' : icon('play'), item.k === 'animation' ? '' : item.l ? haul.duration(item.l) : ''));
    const album = haul.album(item);
    if (album.length > 1) marks.append(make('span', 'mark album', icon('album'), `${album.indexOf(item) + 1}/${album.length}`));
    if (marks.childNodes.length) face.append(marks);
    const caption = haul.captionOf(item);
    const under = make('span', 'under', make('span', 'date', haul.shortDate(item)));
    if (caption) {
      const c = make('span', 'caption', caption);
      c.dir = 'auto';
      under.prepend(c);
    }
    face.append(under);
    return face;
  };

  haul.tile = (item) => {
    const face = haul.pictured(item) ? picture(item) : card(item);
    face.tabIndex = -1;
    face.setAttribute('aria-label', labelOf(item));
    const tile = make('div', 'tile', face);
    tile.setAttribute('role', 'listitem');
    tile.setAttribute('aria-posinset', item.at + 1);
    tile.setAttribute('aria-setsize', haul.view.length);
    tile.item = item;
    tile.face = face;
    return tile;
  };

  // wake has a tile show what it is a tile of.
  haul.wake = (tile) => {
    const {item, face} = tile;
    if (tile.awake || !face.classList.contains('picture')) return;
    tile.awake = true;
    const full = make(moving(item) ? 'video' : 'img', 'full');
    const ready = () => {
      if (!performance.getEntriesByName('first').length) performance.mark('first');
      full.classList.add('shown');
      setTimeout(() => face.querySelector('.thumb')?.remove(), 300);
    };
    full.addEventListener('error', () => {
      full.remove();
      face.classList.add('broken');
    });
    if (moving(item)) {
      full.muted = full.playsInline = true;
      full.preload = 'metadata';
      full.disablePictureInPicture = true;
      full.addEventListener('loadeddata', ready, {once: true});
      const alive = item.k === 'animation' || item.k === 'sticker';
      full.loop = true;
      if (item.p && !alive) full.preload = 'none'; // the thumbnail is there; it is read when it plays
      if (alive && !haul.calm()) full.autoplay = true;
      if (!alive) peek(tile, full);
      full.src = haul.url(item) + (alive ? '' : '#t=0.001'); // the first picture, not a black one
    } else {
      full.alt = '';
      full.decoding = 'async';
      full.src = haul.small(item) || haul.url(item);
      full.decode().then(ready, () => {}); // the error is an event too
    }
    const thumb = face.querySelector('.thumb');
    if (thumb) thumb.after(full);
    else face.prepend(full);
  };

  // peek plays a video while the pointer is over it.
  const peek = (tile, video) => {
    tile.addEventListener('pointerenter', (e) => {
      if (e.pointerType === 'mouse' && !haul.calm()) video.play().catch(() => {}); // not playable: it stays a picture
    });
    tile.addEventListener('pointerleave', () => {
      video.pause();
      video.currentTime = 0;
    });
  };

  // drop takes a tile away, and stops what it reads.
  haul.drop = (tile) => {
    const video = tile.face.querySelector('video');
    if (video) {
      video.pause();
      video.removeAttribute('src');
      video.load();
    }
    tile.remove();
  };
}
