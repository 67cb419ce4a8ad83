// The coverage: bars of how many paths lead to each position, the sets of two neighbouring units, the set on two axes.
export function state({ layers: many, ...sizes }) {
  const layers = range(many).map((i) => ({ kernel: sizes["k" + (i + 1)], dilation: sizes["d" + (i + 1)] }));
  let paths = [1];
  for (const { kernel, dilation } of layers) {
    const wider = new Array(paths.length + dilation * (kernel - 1)).fill(0);
    for (const tap of range(kernel)) paths.forEach((ways, place) => { wider[place + dilation * tap] += ways; });
    paths = wider;
  }
  const size = paths.length, read = paths.filter(Boolean).length;
  const numbers = {
    shown: Object.fromEntries(range(4).map((i) => [`layer ${i + 1}`, i < many])), layers, size, read, paths,
    total: layers.reduce((product, { kernel }) => product * kernel, 1),
    shared: paths.filter((ways, place) => ways && paths[place - 1]).length,
    apart: layers.reduce((common, { dilation }) => gcd(common, dilation), 0),
    weights: layers.reduce((sum, { kernel }) => sum + kernel, 0),
    share: tenths(100 * read ** 2, size ** 2), hole: paths.findIndex((ways) => !ways),
  };
  return { sentence: words(numbers), ...numbers };
}

function words({ size, read, shared, apart, hole, total, paths }) {
  const most = Math.max(...paths);
  return [
    read === size ? `All ${size} positions of the hull are read.`
      : `The hull has ${size} positions, and ${read} of them are read. The first hole is at ${hole}.`,
    shared ? `The next unit reads ${shared} of these ${read} too.` : "The next unit reads none of these.",
    apart > 1 ? `All dilations are multiples of ${apart}: the network falls apart into ${apart}.` : "",
    most === 1 ? "One path leads to each position that is read." : `Of the ${total} paths, up to ${most} lead to one position.`,
  ].filter(Boolean).join(" ");
}

const TALL = 110, CELL = 16;

function draw(s, width) {
  const wide = width >= 600, side = wide ? 200 : Math.min(200, width - 20), left = wide ? 74 : 4;
  const right = wide ? width - side - 36 : width - 4, unit = Math.min(24, (right - left) / (s.size + 1));
  const X = (place) => left + place * unit, top = 30, base = top + TALL, gap = wide ? 12 : 28;
  const rows = base + 10 + (wide ? 0 : 14), axisY = rows + 2 * CELL + gap + 14;
  const at = wide ? [width - side, 22] : [(width - side) / 2, axisY + 44];
  const height = wide ? Math.max(axisY + 8, side + 46) : at[1] + side + 24;
  return canvas(width, height, s.sentence,
    text(wide ? left : 0, 14, "paths that lead to each position", { size: 12, fill: color.muted }),
    bars(s, X, unit, top, base, left),
    cells(s, X, unit, rows, 0, "unit 0 reads", wide, { fill: color.accent, stroke: color.accent }),
    cells(s, X, unit, rows + CELL + gap, 1, "unit 1 reads", wide, { fill: color.warm, stroke: color.warm }),
    axis(s, X, unit, axisY), square(s, ...at, side));
}

function bars(s, X, unit, top, base, left) {
  const most = Math.max(...s.paths), high = (ways) => (ways / most) * (TALL - 16), edge = unit > 4 ? 1 : 0;
  const out = [line(X(0), base, X(s.size), base, { stroke: color.muted })];
  s.paths.forEach((ways, place) => {
    if (ways) out.push(rect(X(place) + edge / 2, base - high(ways), unit - edge, high(ways), { fill: color.accent }));
    else out.push(rect(X(place) + edge / 2, base - 5, unit - edge, 5, { fill: "none", stroke: color.warm, "stroke-width": unit > 4 ? 1 : 0.5, "stroke-dasharray": "2 2" }));
    if (ways && unit >= 8 + 7 * String(ways).length) out.push(text(X(place + 0.5), base - high(ways) - 4, ways, { size: 12, anchor: "middle" }));
  });
  if (unit < 8 + 7 * String(most).length) {
    const place = s.paths.indexOf(most), x = X(place + 0.5);
    out.push(text(Math.max(x, left + textWidth(most, 12) / 2), top + 12 - 4, num(most), { size: 12, anchor: "middle", weight: 700 }));
  }
  return group({}, out);
}

// The positions that unit `shift` reads: filled; holes in its hull: dashed, and without a fill.
function cells(s, X, unit, y, shift, name, wide, look) {
  const edge = unit > 4 ? 1 : 0;
  return group({}, text(0, wide ? y + 12 : y - 5, name, { size: 12, fill: color.muted }),
    s.paths.map((ways, place) => rect(X(place + shift) + edge / 2, y, unit - edge, CELL, ways ? { rx: unit > 8 ? 2 : 0, ...look, "stroke-width": edge }
      : { fill: "none", stroke: color.line, "stroke-width": unit > 4 ? 1 : 0.5, "stroke-dasharray": "2 2" })));
}

function axis(s, X, unit, y) {
  const step = [1, 2, 4, 8, 16, 32, 64].find((each) => each * unit >= 26) ?? 128;
  return range(Math.floor(s.size / step) + 1).map((i) => text(X(i * step + 0.5), y, i * step, { size: 12, anchor: "middle", fill: color.muted }));
}

// Rows depend on rows and columns on columns, so the set on two axes is a product: stripes within stripes.
function square(s, x, y, side) {
  const unit = side / s.size, runs = [];
  s.paths.forEach((ways, place) => {
    if (ways && place && s.paths[place - 1]) runs[runs.length - 1][1] = place + 1;
    else if (ways) runs.push([place, place + 1]);
  });
  let d = "";
  for (const [a, b] of runs) for (const [from, to] of runs) d += `M${px(from * unit)},${px(a * unit)}H${px(to * unit)}V${px(b * unit)}H${px(from * unit)}Z`;
  return group({ transform: `translate(${px(x)} ${px(y)})` }, text(0, -8, "the same on two axes", { size: 12, fill: color.muted }),
    rect(0, 0, side, side, { fill: color.cell, stroke: color.line }), path(d, { fill: color.accent, stroke: "none" }),
    text(0, side + 17, `${num(s.read ** 2)} of ${num(s.size ** 2)} read: ${s.share} %`, { size: 12 }));
}

const numbers = (s) => table({ caption: "Along one axis. Shared: with the next unit. Weights: for one pair of channels",
  head: ["dilations", "hull", "read", "holes", "shared", "weights", "paths"],
  rows: [[s.layers.map(({ dilation }) => dilation).join(", "), s.size, s.read, s.size - s.read, s.shared, s.weights, s.total],
    [s.layers.map(() => 1).join(", "), ...plain(s)]] });
// The same kernels with dilations of 1: one interval, without holes.
const plain = ({ layers, weights, total }) => {
  const size = layers.reduce((sum, { kernel }) => sum + kernel - 1, 1);
  return [size, size, 0, size - 1, weights, total];
};

const NETS = [["1, 2, 4", [1, 2, 4]], ["2, 2, 2", [2, 2, 2]], ["1, 2, 5", [1, 2, 5]], ["1, 3, 9", [1, 3, 9]], ["2, 3", [2, 3]],
  ["kernel 2: 1, 2, 4, 8", [1, 2, 4, 8], 2]];
function extras({ layers }, set) {
  return [h("span", { class: "rf-note" }, "dilations\u2002"), ...NETS.map(([name, dilations, kernel = 3]) => {
    const here = dilations.length === layers.length && dilations.every((d, i) => layers[i].dilation === d && layers[i].kernel === kernel);
    return button(name, () => set({ layers: dilations.length,
      ...Object.fromEntries(dilations.flatMap((d, i) => [["k" + (i + 1), kernel], ["d" + (i + 1), d]])) }), pressed(here));
  })];
}

export default figure({ state, draw, numbers, extras });
