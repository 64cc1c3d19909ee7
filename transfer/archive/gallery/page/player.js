'use strict';
// Sound is played in place: by one element, which goes on when its tile is
// scrolled away, another is opened or the search changes.

{
  const {$} = haul;
  const audio = $('player-audio');
  let item = null;

  // playing is the item that sounds now.
  haul.playing = () => (item && !audio.paused ? item : null);

  // play plays an item, or pauses it if it sounds already.
  haul.play = (wanted) => {
    if (item === wanted) {
      if (audio.paused) start();
      else audio.pause();
      return;
    }
    item = wanted;
    $('player-title').textContent = item.a || (item.k === 'voice' ? 'Voice message' : item.n);
    $('player-sub').textContent = [haul.shortDate(item), haul.captionOf(item)].filter(Boolean).join(' · ');
    $('player').hidden = false;
    audio.src = haul.url(item);
    start();
  };

  const start = () => audio.play().catch((err) => {
    if (err.name !== 'AbortError') $('player-sub').textContent = 'This browser cannot play it.';
  });

  haul.stop = () => {
    audio.pause();
    item = null;
    audio.removeAttribute('src');
    audio.load();
    $('player').hidden = true;
    haul.markTiles();
  };

  haul.pauseSound = () => audio.pause();

  for (const event of ['play', 'pause', 'ended']) audio.addEventListener(event, () => haul.markTiles());
  $('player-close').addEventListener('click', haul.stop);
}
