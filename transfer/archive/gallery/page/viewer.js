'use strict';
// The viewer: one item, large, with all that is known of it. Which one is in the
// URL, so that it can be linked to and the way back closes it.

{
  const {$, make, icon} = haul;
  const dialog = $('viewer');
  const stage = $('stage');
  let item = null;

  haul.viewing = () => item;

  // open opens an item; play starts it too.
  haul.open = (wanted, play = true) => {
    const before = item;
    item = wanted;
    haul.writeHash(!before);
    draw(play);
    if (!dialog.open) dialog.showModal();
  };

  haul.closeViewer = () => { if (dialog.open) dialog.close(); };

  dialog.addEventListener('close', () => {
    if (dialog.open) return; // opened again before this was told
    const was = item;
    item = null;
    empty();
    haul.writeHash(false);
    if (was && haul.view[was.at] === was) haul.focusTile(was.at);
  });

  // empty stops what plays.
  const empty = () => {
    const media = stage.querySelector('video, audio');
    if (media) {
      media.pause();
      media.removeAttribute('src');
      media.load();
    }
    stage.replaceChildren();
  };

  const media = (tag) => {
    const e = make(tag);
    e.controls = true;
    e.preload = 'metadata';
    e.loop = item.k === 'animation' || item.k === 'sticker';
    return e;
  };

  // content is the element that shows the item.
  const content = () => {
    const shown = item;
    let e;
    switch (item.e) {
      case 'image':
        e = make('img');
        e.alt = haul.captionOf(item) || haul.kinds[item.k][0];
        break;
      case 'video':
        e = media('video');
        e.playsInline = true;
        if (item.k === 'round') e.className = 'disc';
        break;
      case 'audio':
        e = media('audio');
        break;
      default:
        return notice(item.o ? 'No preview' : 'No preview, and not opened here: it might run in the browser.');
    }
    e.addEventListener('error', () => {
      if (item === shown) stage.replaceChildren(notice('This browser cannot show it.'));
    });
    if (item.w && item.h && item.e !== 'audio') { // the place of it, before it is there
      e.width = item.w;
      e.height = item.h;
      e.style.setProperty('--shape', item.w / item.h);
    }
    e.src = haul.url(item);
    if (item.e !== 'audio') return e;
    return make('div', 'sound', make('span', 'disk', icon(item.k === 'voice' ? 'mic' : 'note')), named('strong', item.a || item.n), e);
  };

  const named = (tag, text) => {
    const e = make(tag, '', text);
    e.dir = 'auto';
    return e;
  };

  const notice = (text) => make('div', 'notice', named('strong', item.n), make('span', '', text));

  const draw = (play) => {
    empty();
    const shown = content();
    stage.append(shown);
    const caption = haul.captionOf(item);
    $('caption').textContent = caption;
    $('caption').hidden = !caption;
    $('prev').disabled = item.at <= 0;
    $('next').disabled = item.at >= haul.view.length - 1;
    drawFacts();
    drawAlbum();
    drawLinks();
    const sounding = stage.querySelector('video, audio');
    if (sounding && play && !(haul.calm() && item.k === 'animation')) {
      haul.pauseSound();
      sounding.play().catch(() => {}); // its controls are there
    }
    for (const other of [haul.view[item.at + 1], haul.view[item.at - 1]]) {
      if (other && other.e === 'image' && other.s < 20e6) new Image().src = haul.url(other); // for the next step
    }
  };

  const drawFacts = () => {
    const list = [
      ['Type', haul.kinds[item.k][0]],
      ['Date', haul.fullDate(item)],
      ['Name', item.n],
      ['Title', item.a],
      ['Size', haul.bytes(item.s)],
      ['Dimensions', item.w && item.h ? `${item.w} × ${item.h}` : ''],
      ['Duration', item.l ? haul.duration(item.l) : ''],
      ['Chat', haul.chats()[item.c].name],
      ['Message', String(item.m)],
    ];
    $('facts').replaceChildren(...list.filter(([, v]) => v).flatMap(([k, v]) => [make('dt', '', k), named('dd', v)]));
  };

  const drawAlbum = () => {
    const all = haul.album(item);
    $('album').hidden = all.length < 2;
    $('album').replaceChildren(...(all.length < 2 ? [] : all.map((other, i) => {
      const b = make('button', 'mini', String(i + 1));
      b.setAttribute('aria-label', `${i + 1} of ${all.length} in the album`);
      if (other === item) b.setAttribute('aria-current', 'true');
      haul.thumb(other, (url) => { b.style.backgroundImage = `url("${url}")`; });
      b.addEventListener('click', () => haul.open(other));
      return b;
    })));
  };

  // drawLinks offers the file itself, unless a browser might run it: a link to
  // that would be a trap. Then its path is all there is.
  const drawLinks = () => {
    if (!item.o) {
      let path = item.u;
      try {
        path = decodeURIComponent(path);
      } catch {
        // A folder whose name is no UTF-8 keeps its percent signs.
      }
      $('links').replaceChildren(make('span', 'where', 'In the archive: '), make('code', '', path));
      return;
    }
    const a = make('a', 'main', 'Open the file');
    a.href = haul.url(item);
    a.target = '_blank';
    a.rel = 'noopener noreferrer';
    $('links').replaceChildren(a);
  };

  const go = (by) => {
    const other = haul.view[item.at + by];
    if (other) haul.open(other);
  };

  $('prev').addEventListener('click', () => go(-1));
  $('next').addEventListener('click', () => go(1));
  $('close').addEventListener('click', () => dialog.close());
  dialog.addEventListener('wheel', (e) => { // or else the page behind it scrolls
    if (!$('about').contains(e.target)) e.preventDefault();
  }, {passive: false});
  stage.addEventListener('click', (e) => { if (e.target === stage) dialog.close(); });

  // viewerKey handles a key, and reports whether it was one of the viewer's.
  haul.viewerKey = (e) => {
    const media = stage.querySelector('video, audio');
    switch (e.key) {
      case 'ArrowLeft':
      case 'ArrowUp':
        go(-1);
        return true;
      case 'ArrowRight':
      case 'ArrowDown':
        go(1);
        return true;
      case ' ':
        if (!media) return false;
        if (media.paused) media.play().catch(() => {}); // its controls are there
        else media.pause();
        return true;
    }
    return false;
  };
}
