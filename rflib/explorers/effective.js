// The effective field: the mass of each position as a bar, its middle that holds the share, and both sizes against depth.
const MOST = 24;

let memory = {};
// The mass behind 1, 2, ... layers, with the operations in Python's order, so that not a bit differs.
function grown(kernel, dilation, shortcut) {
  const key = `${kernel} ${dilation} ${shortcut}`;
  if (memory.key === key) return memory.found;
  const through = shortcut ? 0.5 : 0, tap = (1 - through) / kernel, middle = (dilation * (kernel - 1)) / 2, found = [];
  for (let mass = [1]; found.length < MOST; found.push(mass)) {
    const wider = new Array(mass.length + 2 * middle).fill(0);
    mass.forEach((each, place) => { wider[place + middle] += through * each; });
    for (const t of range(kernel)) mass.forEach((each, place) => { wider[place + dilation * t] += tap * each; });
    mass = wider;
  }
  memory = { key, found };
  return found;
}

function widthOf(mass, share) {
  const centre = (mass.length - 1) / 2;
  let held = mass[centre], half = 0;
  while (held < share / 100 - 1e-9) {
    half += 1;
    held += mass[centre - half] + mass[centre + half];
  }
  return 2 * half + 1;
}

export function state({ layers, kernel, dilation, share, shortcut }) {
  const all = grown(kernel, dilation, shortcut), sizes = range(MOST).map((n) => 1 + (n + 1) * dilation * (kernel - 1));
  const widths = all.map((mass) => widthOf(mass, share)), mass = all[layers - 1], most = Math.max(...mass);
  const size = sizes[layers - 1], width = widths[layers - 1], part = tenths(100 * width, size);
  const sigma = Math.floor(10 * Math.sqrt((layers * dilation ** 2 * (kernel ** 2 - 1)) / (shortcut ? 24 : 12)) + 0.5);
  const middle = width === 1 ? "the one in the middle holds" : `the middle ${width} hold`;
  return { sentence: width === size ? `Only the whole field, ${size} positions wide, holds ${share} % around its middle.`
    : `Of the ${size} positions of the theoretical field's hull ${middle} at least ${share} % of the influence. That is ${part} % of the field.`,
  layers, dilation, share, size, width, part, sigma: `${Math.floor(sigma / 10)}.${sigma % 10}`,
  profile: mass.map((each) => Math.floor((1000 * each) / most + 0.5)), sizes, widths };
}

function draw(s, width) {
  const wide = width >= 600, left = wide ? Math.round(width * 0.56) : width, right = wide ? width - left - 28 : width;
  const below = wide ? [left + 28, 0] : [0, 216];
  return canvas(width, wide ? 214 : 216 + 214, s.sentence, bars(s, left), group({ transform: `translate(${below.map(px).join(" ")})` }, growth(s, right)));
}

// The mass along the field, the middle in full colour, over it the Gaussian of the same deviation.
function bars(s, width) {
  const unit = Math.min(22, (width - 8) / s.size), from = (width - unit * s.size) / 2, X = (place) => from + place * unit, top = 24, base = 160;
  const centre = (s.size - 1) / 2, half = (s.width - 1) / 2, edge = unit > 4 ? 1 : 0, high = (each) => ((base - top) * each) / 1000;
  // Behind a dilation most positions may have no influence at all: the rest share it among them.
  const parts = s.profile.map((each, place) => (place - centre) % s.dilation ? null : rect(X(place) + edge / 2, base - Math.max(high(each), 1), unit - edge, Math.max(high(each), 1),
    { fill: Math.abs(place - centre) <= half ? color.accent : color.warm }));
  const sigma = Number(s.sigma), spread = range(81).map((i) => (i / 40 - 1) * (centre + 0.5));
  const total = s.profile.reduce((sum, each) => sum + each, 0), peak = (s.dilation * total) / (sigma * Math.sqrt(2 * Math.PI));
  const curve = spread.map((x, i) => `${i ? "L" : "M"}${px(X(centre + 0.5 + x))},${px(base - high(peak * Math.exp(-(x ** 2) / (2 * sigma ** 2))))}`).join("");
  const bracket = (a, b, y, stroke) => path(`M${px(X(a))},${y - 5}V${y}H${px(X(b))}V${y - 5}`, { stroke, "stroke-width": 2 });
  const name = `${s.width} hold ${s.share} %`, all = `field: ${s.size}`;
  return group({}, text(0, 12, "influence, position by position", { size: 12, fill: color.muted }), parts,
    s.layers > 2 ? path(curve, { stroke: color.ink, "stroke-width": 1.5, "stroke-dasharray": "5 3" }) : null,
    bracket(centre - half, centre + half + 1, base + 10, color.accent),
    text(X(centre + 0.5), base + 25, name, { size: 12, weight: 700, anchor: "middle", fill: color.accent, stroke: color.paper, "stroke-width": 3, "paint-order": "stroke" }),
    bracket(0, s.size, base + 36, color.warm), text(X(centre + 0.5), base + 50, all, { size: 12, weight: 700, anchor: "middle", fill: color.warm }));
}

// Both sizes for every depth: the field grows with it, the middle with its root.
function growth(s, width) {
  const left = 34, right = width - 84, top = 24, base = 186, most = s.sizes.at(-1);
  const X = (n) => left + ((right - left) * n) / MOST, Y = (size) => base - ((base - top) * size) / most;
  const curve = (sizes) => sizes.map((size, i) => `${i ? "L" : "M"}${px(X(i + 1))},${px(Y(size))}`).join("");
  const tick = [5, 10, 20, 50, 100].find((each) => most / each <= 6) ?? 200;
  const end = (sizes, words, ink) => text(right + 9, Y(sizes.at(-1)) + 4, words, { size: 12, weight: 700, fill: ink });
  const dot = (sizes, ink) => svg("circle", { cx: px(X(s.layers)), cy: px(Y(sizes[s.layers - 1])), r: 4.5, fill: ink, stroke: color.paper, "stroke-width": 1.5 });
  return group({}, text(0, 12, "both, against the number of layers", { size: 12, fill: color.muted }),
    range(Math.floor(most / tick) + 1).map((i) => [line(left, Y(i * tick), right, Y(i * tick), { stroke: color.faint }),
      text(left - 6, Y(i * tick) + 4, i * tick, { size: 12, anchor: "end", fill: color.muted })]),
    [0, 6, 12, 18, 24].map((n) => text(X(n), base + 17, n, { size: 12, anchor: "middle", fill: color.muted })),
    line(X(s.layers), top, X(s.layers), base, { "stroke-dasharray": "2 3", stroke: color.muted }),
    path(curve(s.sizes), { stroke: color.warm, "stroke-width": 2, "stroke-dasharray": "7 3" }), path(curve(s.widths), { stroke: color.accent, "stroke-width": 2.5 }),
    dot(s.sizes, color.warm), dot(s.widths, color.accent), end(s.sizes, "the field", color.warm), end(s.widths, `${s.share} % in`, color.accent));
}

const numbers = (s) => table({ caption: `The middle that holds ${s.share} % of the influence, and the influence\'s standard deviation`,
  head: ["layers", "field", "middle", "part", "sigma"],
  rows: [[String(s.layers), s.size, s.width, `${s.part}\u00a0%`, s.sigma]] });

export default figure({ state, draw, numbers });
