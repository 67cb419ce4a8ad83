// Names and states for assistive technology that ipywidgets' views leave out.

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (element && element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
  }
}

function nameSlider(view, description) {
  const handles = view.el.querySelectorAll('.noUi-handle');
  const ends = handles.length === 2 ? [' from', ' to'] : [''];
  handles.forEach((handle, i) => {
    set(handle, { 'aria-label': description + ends[i], 'aria-valuetext': handle.ariaValueText });
  });
  set(view.readout, { role: 'textbox', 'aria-label': `${description}: type a value` });
}

function nameChoices(view, description) {
  set(view.buttongroup, { role: 'group', 'aria-label': description });
  const index = view.model.get('index');
  view.buttongroup.querySelectorAll('button').forEach((button, i) => {
    set(button, { 'aria-pressed': i === index });
    // An empty tooltip would be an empty title: nothing for a reader, a finding for a checker.
    if (!button.title) button.removeAttribute('title');
  });
}

export function nameParts(view) {
  const description = view.model.get('description') || view.model.get('tooltip') || 'value';
  if (view.el.querySelector(':scope .noUi-handle') && view.readout) nameSlider(view, description);
  if (view.buttongroup) nameChoices(view, description);
}
