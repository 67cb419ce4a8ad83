// The ledger. Everything is laid out in input pixels on one scale: the bar, its ghost and the cone under it.

const NETS = [
  ["3/2 then 3", [[3, 2], [3, 1]]],
  ["3 then 3/2", [[3, 1], [3, 2]]],
  ["conv 3, conv 3, pool 2/2", [[3, 1], [3, 1], [2, 2]], true],
  ["SimpleCNN: 3, pool 2/2, 3", [[3, 1], [2, 2], [3, 1]]],
  ["AlexNet's first five", [[11, 4], [3, 2], [5, 1], [3, 2], [3, 1]]],
];
// Okabe and Ito's colours, the same in light and dark; what is written on them is always dark.
const HUES = ["#56b4e9", "#e69f00", "#2fbf95", "#d68fb8", "#f0e442"], ON_HUE = "#14181d";

const last = (list) => list[list.length - 1];

export function state({ layers, misuse, ...sizes }) {
  const rows = [];
  let size = 1, jump = 1, wrong = 1;
  for (let n = 1; n <= layers; n++) {
    const kernel = sizes["k" + n], stride = sizes["s" + n], dilation = sizes["d" + n];
    const reach = dilation * (kernel - 1), before = jump, adds = reach * jump;
    size += adds;
    jump *= stride;
    wrong = stride * (wrong - 1) + reach + 1;
    rows.push({ kernel, stride, dilation, reach, before, adds, size, jump, wrong });
  }
  const units = read(rows).map((places) => places.length);
  const shown = Object.fromEntries(range(5).map((i) => [`layer ${i + 1}`, i < layers]));
  return { sentence: words(last(rows), rows, units[0], misuse), shown, misuse, rows, units };
}
// The units of the input and of each layer that unit 0 of the last one reads.
function read(rows) {
  const found = [[0]];
  for (const { kernel, stride, dilation } of [...rows].reverse()) {
    const places = new Set(found[0].flatMap((unit) => range(kernel).map((tap) => stride * unit + dilation * tap)));
    found.unshift([...places].sort((a, b) => a - b));
  }
  return found;
}
function words({ size, jump, wrong }, rows, seen, misuse) {
  const terms = rows.map((row) => ` + ${row.reach}·${num(row.before)}`).join("");
  const off = `${num(Math.abs(wrong - size))} too ${wrong > size ? "many" : "few"}`;
  return `Receptive field 1${terms} = ${num(size)}; jump ${num(jump)}.` +
    (seen < size ? ` It has holes: ${num(seen)} of these ${num(size)} pixels are read.` : "") +
    (!misuse ? "" : ` The backward formula run forwards gives ${num(wrong)}` + (wrong === size ? " as well, for this net." : `: ${off}.`));
}

// The bar's parts: the pixel itself, then one segment per layer that adds something.
function segments(rows, factors) {
  let at = 1;
  const parts = rows.map(({ reach }, i) => ({ layer: i + 1, steps: reach, jump: factors[i], from: at, to: (at += reach * factors[i]) }));
  return [{ layer: 0, steps: 1, jump: 1, from: 0, to: 1 }, ...parts.filter((part) => part.steps)];
}
const scaleFor = (most) => [8, 12, ...range(11).flatMap((i) => [16 << i, 24 << i])].find((end) => end >= most);
const ticksFor = (end, room) => [1, 2, 4, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].find((step) => (end / step) * 44 <= room);

function draw(s, width) {
  const { rows } = s, n = rows.length, { size, wrong } = last(rows);
  const gutter = width < 480 ? 66 : 84, end = scaleFor(s.misuse ? Math.max(size, wrong) : size);
  const unit = (width - gutter - 14) / end, X = (pixels) => gutter + pixels * unit;
  X.right = width - 2;
  const truth = segments(rows, rows.map((row) => row.before));
  const out = [];
  let y = 4;
  y = brackets(out, rows, X, y);
  out.push(...named(y + 15, "field", `r = ${num(size)}`, color.accent));
  y = bar(out, truth, X, unit, y, 36, false);
  if (s.misuse) {
    const after = rows.map((_, i) => rows.slice(i + 1).reduce((product, row) => product * row.stride, 1));
    out.push(...named(y + 13, "mistake", `${wrong === size ? "" : "✗ "}${num(wrong)}`, color.warm));
    y = bar(out, segments(rows, after), X, unit, y, 30, true);
    if (wrong !== size) out.push(text(0, (y += 8), "here the strides after a layer stretch it, not those before", { size: 12, fill: color.warm }));
  }
  const top = y;
  y = cone(out, rows, X, unit, y + 18);
  out.unshift(...[0, size].map((pixel) => line(X(pixel), top, X(pixel), y + 4, { "stroke-dasharray": "2 3" })));
  y = axis(out, end, X, y + 6);
  return canvas(width, y, s.sentence, ...out);
}
const named = (y, name, value, ink) => [text(0, y, name, { size: 12, fill: color.muted }), text(0, y + 15, value, { weight: 700, fill: ink })];

// A stride over a bracket that spans what it multiplies: the segments of the layers after its own.
function brackets(out, rows, X, y) {
  rows.forEach(({ stride, size }, i) => {
    const end = last(rows).size;
    if (stride === 1 || end === size) return;
    const from = X(size) + 1, to = X(end), hue = HUES[i], long = `stride of layer ${i + 1}: steps × ${stride}`, short = `× ${stride}`;
    const label = [long, `layer ${i + 1}: × ${stride}`, short].find((each) => textWidth(each, 12) < to - from - 8) ?? short;
    const outside = textWidth(label, 12) > to - from - 8;
    out.push(path(`M${px(from)},${y + 20}v-7H${px(to)}v7`, { stroke: hue, "stroke-width": 2.5 }),
      outside && from > textWidth(long, 12) + 8 ? text(from - 4, y + 18, long, { size: 12, anchor: "end" })
        : outside ? text(to + 6, y + 18, to + textWidth(long, 12) < X.right - 10 ? long : label, { size: 12 })
        : text((from + to) / 2, y + 9, label, { size: 12, anchor: "middle" }));
    y += outside ? 24 : 26;
  });
  return y;
}

// One bar: each segment is d(k - 1) steps of one jump each; its product stands below.
function bar(out, parts, X, unit, y, height, ghost) {
  const labels = [];
  for (const { layer, steps, jump, from, to } of parts) {
    const wide = (to - from) * unit, hue = layer ? HUES[layer - 1] : color.paper;
    const shape = group({ "data-layer": layer }, rect(X(from), y, wide, height, ghost
      ? { fill: hue, "fill-opacity": 0.28, stroke: color.warm, "stroke-width": 1.5, "stroke-dasharray": "5 3" }
      : { fill: hue, stroke: color.ink, "stroke-width": wide > 3 ? 1 : 0 }));
    if (jump * unit >= 4) {
      for (const i of range(steps - 1)) {
        const x = X(from + (i + 1) * jump);
        shape.append(line(x, y + 1, x, y + (ghost ? height - 1 : 7), { stroke: ghost ? color.warm : ON_HUE, "stroke-opacity": ghost ? 0.35 : 0.7 }),
          ghost ? "" : line(x, y + height - 7, x, y + height - 1, { stroke: ON_HUE, "stroke-opacity": 0.7 }));
      }
    }
    const name = wide >= 58 ? `layer ${layer}` : String(layer), inside = layer > 0 && wide >= 12;
    if (inside) shape.append(text(X((from + to) / 2), y + height / 2 + 4.5, name, { size: 12, anchor: "middle", fill: ghost ? color.ink : ON_HUE }));
    out.push(shape);
    const product = layer ? `${steps}·${num(jump)} = ${num(steps * jump)}` : "1";
    labels.push({ at: X((from + to) / 2), hue: layer ? hue : color.muted, words: inside || !layer ? product : `${layer}: ${product}` });
  }
  return lanes(out, labels, y + height, X(0) - 10, X.right);
}

// Labels below a bar, pushed apart so that none covers another; in two or more lanes where one is too short.
function lanes(out, labels, y, left, right) {
  const wide = labels.map(({ words }) => textWidth(words, 12) + 8);
  const many = Math.ceil(wide.reduce((sum, each) => sum + each, 0) / (right - left));
  const at = new Array(labels.length);
  for (const lane of range(many)) {
    const mine = range(labels.length).filter((i) => i % many === lane);
    let edge = left;
    for (const i of mine) edge = (at[i] = Math.max(edge, labels[i].at - wide[i] / 2)) + wide[i];
    edge = right;
    for (const i of [...mine].reverse()) edge = at[i] = Math.min(at[i], edge - wide[i]);
    for (const i of mine) {
      const foot = y + 7 + 15 * lane, x = at[i] + wide[i] / 2;
      out.unshift(path(`M${px(labels[i].at)},${y}L${px(x)},${foot}`, { stroke: color.muted }));
      out.push(text(x, foot + 11, labels[i].words, { size: 12, anchor: "middle", stroke: color.paper, "stroke-width": 3, "paint-order": "stroke" }));
    }
  }
  return y + 15 * many + 14;
}

// The same net as rows of cells on the same scale: its input row is as long as the bar.
function cone(out, rows, X, unit, y) {
  const n = rows.length, pitch = 46, high = 16, places = read(rows);
  const jumps = [1, ...rows.map((row) => row.jump)], centres = [0.5];
  rows.forEach(({ reach, before }, i) => centres.push(centres[i] + (reach * before) / 2));
  const at = (level, u) => X(centres[level] + u * jumps[level]), top = (level) => y + (n - level) * pitch;
  const half = (level) => Math.min(24, Math.max(jumps[level] * unit - (jumps[level] * unit > 6 ? 2 : 0), 0.5)) / 2;
  for (let level = n; level > 0; level--) {
    const { kernel, stride, dilation } = rows[level - 1], upper = places[level], lower = places[level - 1];
    const a = top(level) + high, b = top(level - 1);
    out.push(path(`M${px(at(level, upper[0]) - half(level))},${a}H${px(at(level, last(upper)) + half(level))}` +
      `L${px(at(level - 1, last(lower)) + half(level - 1))},${b}H${px(at(level - 1, lower[0]) - half(level - 1))}Z`,
    { fill: HUES[level - 1], "fill-opacity": 0.3, stroke: "none", "data-layer": level }));
    if (upper.length * kernel > 160) continue;
    const links = upper.flatMap((u) => range(kernel).map((t) => `M${px(at(level, u))},${a}L${px(at(level - 1, stride * u + dilation * t))},${b}`));
    out.push(path(links.join(""), { stroke: color.muted, "stroke-width": 0.8, "data-layer": level }));
  }
  for (let level = n; level >= 0; level--) {
    const lit = level ? { fill: HUES[level - 1], stroke: color.ink } : { fill: color.soft, stroke: color.accent, band: color.accent };
    out.push(row(places[level], (u) => at(level, u), 2 * half(level), jumps[level] * unit, top(level), high, lit));
    out.push(...named(top(level) + 4, level ? `layer ${level}` : "input", level ? `jump ${num(jumps[level])}` : X(0) < 70 ? `${num(last(rows).size)} px` : count(last(rows).size, "pixel"), color.ink));
  }
  return top(0) + high;
}
// A row of cells: those read are lit, holes are empty. Too narrow for cells: one band per run of them.
function row(places, at, wide, apart, y, high, { band, ...lit }) {
  const cells = group({});
  if (apart >= 5) {
    const read = new Set(places);
    for (let u = places[0]; u <= last(places); u++) {
      cells.append(rect(at(u) - wide / 2, y, wide, high, { rx: 2, ...(read.has(u) ? lit : { fill: color.paper, stroke: color.line, "stroke-dasharray": "2 2" }) }));
    }
    return cells;
  }
  cells.append(rect(at(places[0]) - wide / 2, y, at(last(places)) - at(places[0]) + wide, high, { fill: color.paper, stroke: color.line }));
  for (let i = 0; i < places.length;) {
    const from = i;
    while (i + 1 < places.length && (places[i + 1] - places[i] - 1) * apart < 0.75) i++;
    cells.append(rect(at(places[from]) - wide / 2, y, at(places[i]) - at(places[from]) + wide, high, { fill: band ?? lit.fill }));
    i++;
  }
  return cells;
}

function axis(out, end, X, y) {
  const step = ticksFor(end, X(end) - X(0));
  out.push(text(0, y + 16, "in pixels", { size: 12, fill: color.muted }), line(X(0), y, X(end), y, { stroke: color.muted }));
  for (let pixel = 0; pixel <= end; pixel += step) {
    out.push(line(X(pixel), y, X(pixel), y + 4, { stroke: color.muted }), text(X(pixel), y + 16, num(pixel), { size: 12, anchor: "middle", fill: color.muted }));
  }
  return y + 22;
}

function numbers(s) {
  const rows = s.rows.map((row, i) => [
    String(i + 1), `${row.kernel}/${row.stride}${row.dilation > 1 ? ` d${row.dilation}` : ""}`,
    `${row.reach}·${num(row.before)} = ${num(row.adds)}`, row.size, row.jump, ...(s.misuse ? [row.wrong] : [])]);
  return table({
    caption: "The ledger, row by row",
    head: ["layer", "k/s", "adds d(k − 1)·j", "r", "j", ...(s.misuse ? ["mistake"] : [])],
    rows: [["input", "", "", 1, 1, ...(s.misuse ? [1] : [])], ...rows],
  });
}

const settings = (layers) => Object.fromEntries(layers.flatMap(([k, s, d = 1], i) => [["k" + (i + 1), k], ["s" + (i + 1), s], ["d" + (i + 1), d]]));
const same = (rows, layers) => rows.length === layers.length && rows.every((row, i) => row.kernel === layers[i][0] && row.stride === layers[i][1] && row.dilation === 1);

function extras({ rows }, set) {
  const own = rows.map(({ kernel, stride, dilation }) => [kernel, stride, dilation]);
  const swapped = (i) => own.map((layer, at) => own[at === i ? i + 1 : at === i + 1 ? i : at]);
  const nets = NETS.map(([name, layers, misuse = false]) =>
    button(name, () => set({ layers: layers.length, misuse, ...settings(layers) }), pressed(same(rows, layers))));
  const swaps = range(rows.length - 1).map((i) =>
    button(`${i + 1} ⇄ ${i + 2}`, () => set(settings(swapped(i))), { "aria-label": `${i + 1} ⇄ ${i + 2}: swap these layers` }));
  return [...nets, h("br"), ...(swaps.length ? [h("span", { class: "rf-note" }, "swap layers "), ...swaps] : [])];
}

// Pointing at a layer's segment or at its part of the cone leaves only that layer in full colour, and says what it adds.
function wire(drawing, s, { say }) {
  const parts = [...drawing.querySelectorAll("[data-layer]")];
  const point = (layer) => {
    for (const part of parts) part.setAttribute("opacity", layer === null || part.dataset.layer === layer ? 1 : 0.25);
    const at = s.rows[layer - 1];
    say(at ? `Layer ${layer} adds ${at.reach}·${num(at.before)} = ${num(at.adds)}: its window spans ${count(at.reach, "step")} of ${count(at.before, "pixel")}; ` +
      (at.stride > 1 ? `its stride makes the steps of later layers ${at.stride} times as long.` : "its stride of 1 leaves later steps as they are.") : null);
  };
  for (const part of parts) {
    part.addEventListener("pointerenter", () => point(part.dataset.layer));
    part.addEventListener("pointerleave", () => point(null));
  }
}

export default figure({ state, draw, numbers, extras, wire });
