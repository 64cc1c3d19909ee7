'use strict';
// What the scripts of the page share. They are plain scripts, run in order:
// browsers load no modules from a disk. Nothing here makes HTML of text: what
// comes from an archive is only ever set as textContent, attribute or URL.

const haul = {};

haul.$ = (id) => document.getElementById(id);

// make makes an element with classes and children, which may be strings.
haul.make = (tag, classes, ...children) => {
  const e = document.createElement(tag);
  if (classes) e.className = classes;
  e.append(...children);
  return e;
};

haul.icon = (name) => {
  const ns = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(ns, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(ns, 'use');
  use.setAttribute('href', '#i-' + name);
  svg.append(use);
  return svg;
};

// calm: the person has asked for less motion.
haul.calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

haul.kinds = {
  photo: ['Photo', 'Photos'],
  video: ['Video', 'Videos'],
  animation: ['GIF', 'GIFs'],
  round: ['Video message', 'Video messages'],
  audio: ['Music', 'Music'],
  voice: ['Voice message', 'Voice messages'],
  sticker: ['Sticker', 'Stickers'],
  document: ['File', 'Files'],
};

haul.bytes = (n) => {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let i = 0;
  for (; n >= 1000 && i < units.length - 1; i++) n /= 1000;
  return `${n >= 100 || i === 0 ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
};

haul.duration = (seconds) => {
  const s = Math.round(seconds);
  const two = (n) => String(n).padStart(2, '0');
  const h = Math.floor(s / 3600);
  const m = Math.floor(s / 60) % 60;
  return h ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
};

{
  const full = new Intl.DateTimeFormat('en-GB', {dateStyle: 'full', timeStyle: 'short'});
  const short = new Intl.DateTimeFormat('en-GB', {dateStyle: 'medium'});
  const heads = {
    day: new Intl.DateTimeFormat('en-GB', {weekday: 'long', day: 'numeric', month: 'long', year: 'numeric'}),
    month: new Intl.DateTimeFormat('en-GB', {month: 'long', year: 'numeric'}),
    year: new Intl.DateTimeFormat('en-GB', {year: 'numeric'}),
  };
  haul.fullDate = (item) => full.format(item.t * 1000);
  haul.shortDate = (item) => short.format(item.t * 1000);
  haul.headDate = (item, by) => heads[by].format(item.t * 1000);
}
