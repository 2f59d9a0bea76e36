import { fileURLToPath } from 'node:url';

// Everything a deck needs is in its HTML: no font, emoji or formula comes from a network.
export default {
  allowLocalFiles: true,
  themeSet: [fileURLToPath(new URL('theme.css', import.meta.url))],
  options: {
    html: true,
    math: 'mathjax',
    emoji: { unicode: false, shortcode: false },
  },
};
