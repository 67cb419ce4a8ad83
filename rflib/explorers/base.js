// What every live figure's drawing is made of. NAME.js is appended to this file, so it uses these names without imports,
// and must not declare any of them again. It is plain ES module text and ends with
//
//   export function state(controls) { return { sentence, ... }; }     // the same dict as Python's, exactly
//                                                  (controls.data is what build(..., data=...) was given, else null)
//   function draw(s, width) { return canvas(width, height, label, ...children); }   // pure: an <svg>
//   export default figure({ state, draw, numbers, extras, wire });
//
//   numbers(s)             optional: an HTML element (table(...) or h("p", ...)) below the picture
//   extras(s, set)         optional: HTML elements above the picture, e.g. button("swap", () => set({ kernel_1: 5 }))
//   wire(svg, s, context)  optional: adds hover, focus, keys after each drawing. context = {
//                            say(text or null): shows another sentence, null brings the state's own back
//                            set(values): changes controls,  memory: an object that lives as long as the figure }
//
// One change of any control: state, then picture, numbers and sentence anew. A new width: picture anew.

// Colours that also work where base.css is not loaded (a still). Text on accent: onAccent; on a soft colour: ink.
const color = {
  ink: "var(--rf-ink,#1c2128)", muted: "var(--rf-muted,#57606a)", line: "var(--rf-line,#c5ccd3)",
  faint: "var(--rf-faint,#e4e8ec)", cell: "var(--rf-cell,#eef1f4)", paper: "var(--rf-paper,#ffffff)",
  accent: "var(--rf-accent,#0072b2)", onAccent: "var(--rf-on-accent,#ffffff)", soft: "var(--rf-soft,#cfe5f3)",
  warm: "var(--rf-warm,#b84a00)", onWarm: "var(--rf-on-warm,#ffffff)", warmSoft: "var(--rf-warm-soft,#fbe3d0)",
  green: "var(--rf-green,#00745a)", greenSoft: "var(--rf-green-soft,#d0ebe3)",
};

const fill = (node, attributes, children) => {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
};
// h("p", { class: "rf-note" }, "words", element): an HTML element. svg("circle", { r: 3 }): an SVG element.
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

// Coordinates to at most two decimals: the same text on every machine.
const px = (value) => String(Math.round(value * 100) / 100);
// 9408 -> "9,408", as Python's f"{n:,}".
const num = (value) => String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
const count = (n, one, many = one + "s") => `${num(n)} ${n === 1 ? one : many}`;
const range = (n) => Array.from({ length: n }, (_, i) => i);
const fromTo = ([first, last]) => (first === last ? `${first}` : `${first} to ${last}`);
const gcd = (a, b) => (b ? gcd(b, a % b) : a);
// value / unit to one decimal, half upwards, by whole numbers, as Python's stages.tenths; and as stages.part says it.
const tenths = (value, unit) => {
  const t = Math.floor((20 * value + unit) / (2 * unit));
  return `${num(Math.floor(t / 10))}.${t % 10}`;
};
const percent = (share) => `${share === "0.0" ? "less than 0.1" : share} %`;
const partOfImage = (share) => (share === "100.0" ? "the whole image" : `${percent(share)} of the image`);
const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
// A safe guess of a text's width (nothing is measured, so that a still is the same everywhere).
const textWidth = (words, size = 13) => String(words).length * size * 0.56;

// The <svg> of a drawing, `width` x `height` CSS pixels; `label` is its text alternative.
const canvas = (width, height, label, ...children) =>
  svg("svg", { viewBox: `0 0 ${px(width)} ${px(height)}`, width: px(width), height: px(height), role: "img",
    "aria-label": label, "font-family": "-apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif" }, ...children);
const group = (attributes, ...children) => svg("g", attributes, ...children);
const rect = (x, y, width, height, attributes) =>
  svg("rect", { x: px(x), y: px(y), width: px(width), height: px(height), ...attributes });
const line = (x1, y1, x2, y2, attributes) =>
  svg("line", { x1: px(x1), y1: px(y1), x2: px(x2), y2: px(y2), stroke: color.line, ...attributes });
const path = (d, attributes) => svg("path", { d, fill: "none", stroke: color.line, ...attributes });
// The path of slanted lines that fill a rectangle.
function hatch(x0, y0, x1, y1, step = 7) {
  let d = "";
  if (x1 <= x0 || y1 <= y0) return d;
  for (let c = Math.ceil((x0 + y0) / step) * step; c < x1 + y1; c += step) {
    d += `M${px(Math.max(x0, c - y1))},${px(Math.min(y1, c - x0))}L${px(Math.min(x1, c - y0))},${px(Math.max(y0, c - x1))}`;
  }
  return d;
}
// Text at its baseline. Options: size (12 or more), anchor start|middle|end, weight, fill, and any attribute.
const text = (x, y, words, { size = 13, anchor = "start", weight, fill: ink = color.ink, ...rest } = {}) =>
  svg("text", { x: px(x), y: px(y), "font-size": size, "text-anchor": anchor, "font-weight": weight, fill: ink, ...rest },
    String(words));
// A line with a head at its end (no markers: their ids would clash between figures).
const arrow = (x1, y1, x2, y2, { stroke = color.muted, head = 6, ...rest } = {}) => {
  const angle = Math.atan2(y2 - y1, x2 - x1);
  const at = (turn) => `${px(x2 - head * Math.cos(angle + turn))},${px(y2 - head * Math.sin(angle + turn))}`;
  return group({}, line(x1, y1, x2, y2, { stroke, ...rest }),
    svg("polygon", { points: `${px(x2)},${px(y2)} ${at(0.45)} ${at(-0.45)}`, fill: stroke }));
};

// A real table: table({ caption, head: ["layer", "r"], rows: [["conv", 3], ...], now: index of the row to mark }).
// The first cell of a row is its header. A cell is text, a number (written with num) or an element.
const table = ({ caption, head, rows, now = -1 }) => {
  const cell = (value) => (typeof value === "number" ? num(value) : value);
  return h("table", {}, caption ? h("caption", {}, caption) : null,
    h("thead", {}, h("tr", {}, head.map((title) => h("th", { scope: "col" }, title)))),
    h("tbody", {}, rows.map(([first, ...rest], index) => h("tr", { class: index === now ? "rf-now" : null },
      h("th", { scope: "row" }, cell(first)), rest.map((value) => h("td", {}, cell(value)))))));
};
// The attributes of a button that stands for a state: whether the figure is in it now.
const pressed = (on) => ({ "aria-pressed": String(on),
  style: on ? `border-color: ${color.accent}; box-shadow: inset 0 0 0 1px ${color.accent}` : null });
const button = (label, onclick, attributes) => {
  const node = h("button", { type: "button", ...attributes }, label);
  node.addEventListener("click", onclick);
  return node;
};

// Joins a drawing to anywidget's model: see the top.
const figure = ({ state, draw, numbers, extras, wire }) => ({
  // The picture alone, as web/stills.py takes it: with the sentence below it, on paper.
  still(controls, width) {
    const now = state(controls), drawn = draw(now, width), low = Number(drawn.getAttribute("height")) + 26, margin = 14;
    const lines = [""];
    for (const word of now.sentence.split(" ")) {
      const longer = `${lines.at(-1)} ${word}`.trim();
      if (textWidth(longer, 15) > width) lines.push(word); else lines[lines.length - 1] = longer;
    }
    const height = low + lines.length * 21 - 12, box = [-margin, -margin, width + 2 * margin, height + 2 * margin];
    drawn.prepend(rect(...box, { fill: color.paper }));
    drawn.append(...lines.map((words, i) => text(0, low + 21 * i, words, { size: 15, weight: 600 })));
    return fill(drawn, { viewBox: box.map(px).join(" "), width: px(box[2]), height: px(box[3]) }, []);
  },
  render({ model, el }) {
    const names = model.get("_controls"), choices = model.get("_choices"), groups = model.get("_groups");
    const read = (name) => (choices[name] ? choices[name][model.get(name)] : model.get(name));
    const write = (name, value) => {
      const sent = choices[name] ? choices[name].indexOf(value) : value;
      if (model.get(name) !== sent) model.set(name, sent);
    };
    const above = h("div", { class: "rf-extras" }), picture = h("div", { class: "rf-picture" });
    const sentence = h("p", { class: "rf-sentence", role: "status", "aria-live": "polite" });
    const below = h("div", { class: "rf-numbers" });
    const root = h("div", { class: "rflib", "data-figure": model.get("_figure") }, above, picture, sentence, below);
    let now, width = 0, waiting = false;
    const say = (words) => {
      const next = words ?? now.sentence;
      if (sentence.textContent !== next) sentence.textContent = next;
    };
    const set = (values) => {
      for (const [name, value] of Object.entries(values)) write(name, value);
      model.save_changes();
    };
    const context = { say, set, memory: {} };
    // The first bounds wait until the sliders stand: a slider's End key goes to the largest value that it was made for.
    const bind = () => {
      for (const [name, bound] of Object.entries(now.bounds ?? {})) {
        if (model.get(name + "_max") !== bound) model.set(name + "_max", bound);
        write(name, now[name]);
      }
      model.save_changes();
    };
    const redraw = () => {
      if (!width) return;
      const drawn = draw(now, width), focused = picture.contains(root.getRootNode().activeElement);
      picture.replaceChildren(drawn);
      wire?.(drawn, now, context);
      if (focused) picture.querySelector("[tabindex]")?.focus();
    };
    const update = () => {
      waiting = false;
      now = state({ ...Object.fromEntries(names.map((name) => [name, read(name)])), data: model.get("_data") });
      if (width) bind(); else requestAnimationFrame(bind);
      for (const [name, visible] of Object.entries(now.shown ?? {})) {
        const trait = "display_" + groups.indexOf(name);
        if (model.get(trait) !== (visible ? "" : "none")) model.set(trait, visible ? "" : "none");
      }
      model.save_changes();
      const buttons = () => [...above.querySelectorAll("button")];
      const focused = buttons().indexOf(root.getRootNode().activeElement);
      above.replaceChildren(...(extras ? [extras(now, set)].flat().filter(Boolean) : []));
      buttons()[focused]?.focus();
      below.replaceChildren(...(numbers ? [numbers(now)].flat().filter(Boolean) : []));
      say(null);
      redraw();
    };
    // Several traits may change at once (a control and the bound that follows it): one drawing for all of them.
    const changed = () => {
      if (!waiting) queueMicrotask(update);
      waiting = true;
    };
    for (const name of names) model.on("change:" + name, changed);
    el.replaceChildren(root);
    const resize = () => {
      const next = Math.floor(root.clientWidth);
      if (next && next !== width) { width = next; redraw(); }
    };
    update();
    resize();
    const observer = new ResizeObserver(resize);
    observer.observe(root);
    return () => {
      observer.disconnect();
      for (const name of names) model.off("change:" + name, changed);
    };
  },
});
