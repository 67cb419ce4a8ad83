// The widget manager of the built book: it makes the page's stored widgets live without a kernel.
//
// Jupyter Book stores in each page the state of every widget model (one script of type
// widget-state+json) and, where a cell displayed a widget, a script of type widget-view+json. The
// stock html-manager would bring require.js, an AMD loader and a content delivery network; all that
// is needed is a manager whose `loadClass` knows the three modules that the book's figures use.
import * as base from '@jupyter-widgets/base';
import * as controls from '@jupyter-widgets/controls';
import { ManagerBase } from '@jupyter-widgets/base-manager';
import { Widget } from '@lumino/widgets';
import { nameParts } from './names.js';

const STATE = 'application/vnd.jupyter.widget-state+json';
const VIEW = 'application/vnd.jupyter.widget-view+json';
const modules = { '@jupyter-widgets/base': base, '@jupyter-widgets/controls': controls };

class StaticManager extends ManagerBase {
  // Without a typesetter of the manager, ipywidgets asks for MathJax 2's Hub whenever a label changes.
  _rendermime = { latexTypesetter: { typeset: (element) => window.MathJax?.typeset?.([element]) } };

  async loadClass(name, module) {
    const found = modules[module]?.[name];
    if (!found) throw new Error(`the built book knows no widget ${module}.${name}`);
    return found;
  }

  // No kernel: no model is live elsewhere, and a widget made by a widget gets no other side.
  async _get_comm_info() {
    return {};
  }

  async _create_comm() {
    throw new Error('this page has no kernel');
  }

  async create_view(model, options) {
    const view = await super.create_view(model, options);
    nameParts(view);
    view.listenTo(model, 'change', () => nameParts(view));
    return view;
  }

  async show(script) {
    const model = await this.get_model(JSON.parse(script.textContent).model_id);
    const view = await this.create_view(model);
    const place = document.createElement('div');
    place.className = 'live-figure';
    script.replaceWith(place);
    Widget.attach(view.luminoWidget, place);
    return place;
  }
}

function drawn(place) {
  return new Promise((done) => {
    const look = () => place.querySelector('svg, canvas') && (observer.disconnect(), done());
    const observer = new MutationObserver(look);
    observer.observe(place, { childList: true, subtree: true });
    look();
  });
}

async function start() {
  const manager = new StaticManager();
  for (const script of document.querySelectorAll(`script[type="${STATE}"]`)) {
    await manager.set_state(JSON.parse(script.textContent));
  }
  for (const script of document.querySelectorAll(`script[type="${VIEW}"]`)) {
    const place = await manager.show(script);
    window.bookWidgets.first ??= drawn(place);
  }
  document.documentElement.dataset.widgets = 'live';
  return window.bookWidgets.first;
}

// The front-end of the installed anywidget comes in a script of its own, after this one, when the
// page is parsed: the figures need not wait for the scripts of the theme and of the math.
window.bookWidgets = {
  provide(name, factory) {
    modules[name] = factory(base);
    this.drawn = start(); // settled when the first figure has its picture
  },
};
