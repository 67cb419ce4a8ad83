// What scrolls must be reachable by keyboard: each region that overflows is a tab stop while it does.
const SCROLLERS = 'pre, mjx-container[display], .pst-scrollable-table-container, .output.text_html, .rf-numbers';

function markScrollers() {
  for (const element of document.querySelectorAll(SCROLLERS)) {
    const scrolls =
      element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflowX !== 'visible';
    if (scrolls) element.tabIndex = 0;
    else element.removeAttribute('tabindex');
  }
}

let waiting = 0;
function markSoon() {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(markScrollers);
}

addEventListener('load', markSoon);
addEventListener('resize', markSoon);
// Math is typeset and figures change after the page has loaded.
new MutationObserver(markSoon).observe(document.body, { childList: true, subtree: true });

// Paper is white.
let theme;
addEventListener('beforeprint', () => {
  theme = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = 'light';
});
addEventListener('afterprint', () => {
  document.documentElement.dataset.theme = theme;
});
