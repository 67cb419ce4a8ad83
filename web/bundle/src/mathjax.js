// MathJax cut to what a book needs: TeX in, CHTML out, MathML beside it for screen readers. The stock
// component adds a menu (a tab stop at every formula), a loader and extensions fetched on demand.
// Built from the package's TypeScript, a quarter lighter than the ES5 beside it.
import { mathjax } from 'mathjax-full/ts/mathjax.ts';
import { TeX } from 'mathjax-full/ts/input/tex.ts';
import { CHTML } from 'mathjax-full/ts/output/chtml.ts';
import { browserAdaptor } from 'mathjax-full/ts/adaptors/browserAdaptor.ts';
import { RegisterHTMLHandler } from 'mathjax-full/ts/handlers/html.ts';
import { AssistiveMmlHandler } from 'mathjax-full/ts/a11y/assistive-mml.ts';
import 'mathjax-full/ts/input/tex/base/BaseConfiguration.ts';
import 'mathjax-full/ts/input/tex/ams/AmsConfiguration.ts';
import 'mathjax-full/ts/input/tex/boldsymbol/BoldsymbolConfiguration.ts';
import 'mathjax-full/ts/input/tex/cancel/CancelConfiguration.ts';
import 'mathjax-full/ts/input/tex/color/ColorConfiguration.ts';
import 'mathjax-full/ts/input/tex/configmacros/ConfigMacrosConfiguration.ts';
import 'mathjax-full/ts/input/tex/newcommand/NewcommandConfiguration.ts';
import 'mathjax-full/ts/input/tex/noundefined/NoUndefinedConfiguration.ts';
import 'mathjax-full/ts/input/tex/textmacros/TextMacrosConfiguration.ts';

const packages = ['base', 'ams', 'boldsymbol', 'cancel', 'color', 'configmacros', 'newcommand', 'noundefined', 'textmacros'];
const fontURL = new URL('fonts', document.currentScript.src).href;
const { options, tex } = window.MathJax ?? {}; // Sphinx leaves its settings there

AssistiveMmlHandler(RegisterHTMLHandler(browserAdaptor()));

const page = mathjax.document(document, {
  ...options,
  InputJax: new TeX({ packages, inlineMath: [['\\(', '\\)']], displayMath: [['\\[', '\\]']], ...tex }),
  OutputJax: new CHTML({ fontURL }),
});

function typeset(elements) {
  page.options.elements = elements;
  page.reset();
  page.render();
}

window.MathJax = { version: mathjax.version, typeset };

// The first live figure comes first, if it does not take long: a reader sees the page's text either way.
const PATIENCE = 1500; // milliseconds
document.addEventListener('DOMContentLoaded', async () => {
  await Promise.race([window.bookWidgets?.drawn, new Promise((done) => setTimeout(done, PATIENCE))])
    .catch(() => {}); // a figure that fails says so itself
  setTimeout(typeset);
});
