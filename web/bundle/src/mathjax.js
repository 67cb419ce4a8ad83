// MathJax cut to what a book needs: TeX in, CHTML out, MathML beside it for screen readers. The stock
// component adds a menu (a tab stop at every formula), a loader and extensions fetched on demand.
import { mathjax } from 'mathjax-full/js/mathjax.js';
import { TeX } from 'mathjax-full/js/input/tex.js';
import { CHTML } from 'mathjax-full/js/output/chtml.js';
import { browserAdaptor } from 'mathjax-full/js/adaptors/browserAdaptor.js';
import { RegisterHTMLHandler } from 'mathjax-full/js/handlers/html.js';
import { AssistiveMmlHandler } from 'mathjax-full/js/a11y/assistive-mml.js';
import 'mathjax-full/js/input/tex/base/BaseConfiguration.js';
import 'mathjax-full/js/input/tex/ams/AmsConfiguration.js';
import 'mathjax-full/js/input/tex/boldsymbol/BoldsymbolConfiguration.js';
import 'mathjax-full/js/input/tex/cancel/CancelConfiguration.js';
import 'mathjax-full/js/input/tex/color/ColorConfiguration.js';
import 'mathjax-full/js/input/tex/configmacros/ConfigMacrosConfiguration.js';
import 'mathjax-full/js/input/tex/newcommand/NewcommandConfiguration.js';
import 'mathjax-full/js/input/tex/noundefined/NoUndefinedConfiguration.js';
import 'mathjax-full/js/input/tex/textmacros/TextMacrosConfiguration.js';

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

// The live figures come first: a reader sees the page's text either way.
document.addEventListener('DOMContentLoaded', () => setTimeout(typeset));
