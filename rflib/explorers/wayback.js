// The way back: rows of cells from the output (top) down to the input, each row as wide as the row above it needs.

const last = (list) => list[list.length - 1];
const ratio = (a, b) => (b / gcd(a, b) === 1 ? String(a / gcd(a, b)) : `${a / gcd(a, b)}/${b / gcd(a, b)}`);
const span = (places) => (places.length ? [places[0], last(places)] : []);
const long = (places) => (places.length ? last(places) - places[0] + 1 : 0);

export function state({ layers: many, output, first, step, wrong, ...sizes }) {
  const layers = range(many).map((i) => ({ kernel: sizes["k" + (i + 1)], stride: sizes["s" + (i + 1)], transposed: sizes["t" + (i + 1)] }));
  const places = needed(layers, first, output), heads = range(many).map((i) => layers.slice(0, i + 1));
  const needs = heads.map((head) => phases(head, output)[0].size);
  const astray = layers.reduce((walk, layer) => [...walk, phases([layer], last(walk))[0].size], [output]).slice(1);
  const numbers = {
    bounds: { step: many }, shown: Object.fromEntries(range(4).map((i) => [`layer ${i + 1}`, i < many])),
    output, step: Math.min(step, many), wrong, layers,
    spans: places.map(span), widths: places.map(long), reads: places.map((each) => each.length),
    forward: heads.map((head) => ({ size: phases(head, 1)[0].size, jump: jump(head) })),
    needs, astray, departs: astray.findIndex((each, i) => each !== needs[i]) + 1, phases: phases(layers, output),
  };
  return { sentence: words(numbers), ...numbers };
}
// What `output` units from `first` on read of the input and of each layer's output, as sorted lists, input first.
function needed(layers, first, output) {
  const found = [range(output).map((i) => first + i)];
  for (const { kernel, stride, transposed } of [...layers].reverse()) {
    const reads = (unit) => (transposed
      ? range(kernel).filter((tap) => (unit - tap) % stride === 0).map((tap) => (unit - tap) / stride)
      : range(kernel).map((tap) => stride * unit + tap));
    found.unshift([...new Set(found[0].flatMap(reads))].sort((a, b) => a - b));
  }
  return found;
}
// Every width that occurs, its share of all places and the first unit that has it, largest first.
// The widths repeat when the outputs move on by the product of the transposed layers' strides.
function phases(layers, output) {
  const period = layers.reduce((product, { stride, transposed }) => product * (transposed ? stride : 1), 1);
  const found = new Map();
  for (const first of range(period)) {
    const size = long(needed(layers, first, output)[0]), before = found.get(size);
    found.set(size, { first: before?.first ?? first, times: (before?.times ?? 0) + 1 });
  }
  return [...found].sort((a, b) => b[0] - a[0]).map(([size, { first, times }]) => ({ size, share: ratio(times, period), first }));
}
function jump(layers) {
  const product = (up) => layers.reduce((total, { stride, transposed }) => total * (transposed === up ? stride : 1), 1);
  return ratio(product(false), product(true));
}

const plain = (s) => s.layers.every((layer) => !layer.transposed);
const units = (n) => count(n, "unit"), place = (n) => (n === 0 ? "the input" : `layer ${n}`);
function words(s) {
  const n = s.layers.length, below = n - s.step, said = last(s.astray), needed_ = last(s.needs);
  let told = `${units(s.output)} of layer ${n} ${s.output === 1 ? "is" : "are"} wanted. How many does that take of ${place(n - 1)}?`;
  if (s.step) {
    told = stepped(s, below);
  }
  if (s.step && s.spans[below][0] < 0) told += " Positions below 0 lie before the map: the figure counts as if no map had an end.";
  if (s.step === n) told += meeting(s);
  if (!s.wrong) return told;
  if (!s.departs) return told + ` The wrong way round gives ${num(said)} as well, for this net.`;
  const there = `${num(s.astray[s.departs - 1])}, not ${num(s.needs[s.departs - 1])}`;
  const end = s.departs === n ? "" : said === needed_ ? `, though it ends at ${num(said)} by chance` : `, and ends at ${num(said)}, not ${num(needed_)}`;
  return told + ` The wrong way round departs at layer ${s.departs} (${there})${end}.`;
}
// The step from layer below + 1 down to what it reads.
function stepped(s, below) {
  const above = s.widths[below + 1], wide = s.widths[below], read = s.reads[below];
  if (!above) return `Nothing of ${place(below + 1)} is needed, and so nothing of ${place(below)}.`;
  const told = `${units(above)} of layer ${below + 1} ${above === 1 ? "takes" : "take"} ${num(wide)} of ${place(below)}`;
  if (!wide) return `${told}: no unit writes there, as the stride is wider than the kernel.`;
  return `${told}${s.layers[below].transposed ? "" : `: ${sum(s, below)}`}.` +
    (read === wide ? "" : ` It has holes: ${num(read)} of these ${num(wide)} are read.`);
}
const sum = (s, below) => `${s.layers[below].stride}·(${num(s.widths[below + 1])} − 1) + ${s.layers[below].kernel} = ${num(s.widths[below])}`;
const forwards = (s) => (s.output > 1 ? `${num(last(s.forward).size)} + ${s.output - 1}·${num(last(s.forward).jump)} = ` : "r = ") + num(last(s.needs));
function meeting(s) {
  if (s.phases.length > 1) return ` It depends on where the outputs stand: ${s.phases.map((each) => `${num(each.size)} (${each.share} of places)`).join(", ")}.`;
  if (!plain(s)) return ` Wherever the outputs stand, it is ${num(last(s.needs))}.`;
  return ` Forwards it is the same: ${forwards(s)}.`;
}


const HIGH = 22, PITCH = 76;

function draw(s, width) {
  const n = s.layers.length, narrow = width < 520, left = narrow ? 106 : 150, right = narrow ? 66 : 104;
  const rows = needed(s.layers, last(s.spans)[0], s.output), known = n - s.step;
  const most = Math.max(...s.widths, last(s.needs), s.wrong ? last(s.astray) : 1);
  const room = width - left - right, unit = Math.min(28, room / most), middle = left + room / 2;
  // The place of a row's cells: `start` is the left edge of the first one.
  const place = (level) => ({ unit, first: s.spans[level][0] ?? 0, start: middle - (s.widths[level] * unit) / 2, y: 30 + (n - level) * PITCH });
  const out = [text(0, 14, narrow ? "backwards" : "backwards: how many?", { size: 12, weight: 700, fill: color.accent }),
    text(width, 14, "forwards", { size: 12, weight: 700, anchor: "end", fill: color.green })];
  for (let level = n - 1; level >= known; level--) out.push(links(s.layers[level], rows[level + 1], rows[level], place(level + 1), place(level)));
  for (let level = n; level >= 0; level--) {
    const at = place(level);
    if (level < known || !s.widths[level]) out.push(empty(middle, at.y, level < known ? "?" : "nothing"));
    else out.push(cells(rows[level], at, level < n ? windows(s, level) : null, level === n));
    out.push(...backwards(s, level, at.y, level >= known, level === known), ...ledger(s, level, at.y, width));
  }
  const foot = place(0).y + HIGH, head = place(n).y;
  if (s.step) out.push(arrow(left - 10, head + 4, left - 10, place(known).y + HIGH - 2, { stroke: color.accent, "stroke-width": 1.5 }));
  out.push(arrow(width - right + 8, foot - 4, width - right + 8, head + 4, { stroke: color.green, "stroke-width": 1.5 }));
  const bars = plain(s) ? [sumBar(s)] : s.phases.map((phase) => phaseBar(phase, s));
  if (s.wrong) bars.push({ name: "wrong way", value: `${s.departs ? "✗ " : ""}${num(last(s.astray))}`, ink: color.warm, parts: [[last(s.astray), num(last(s.astray))]], ghost: true });
  let y = foot + (s.step === n ? 38 : 24);
  bars.forEach((bar, i) => {
    const waits = { ...bar, name: i ? "" : plain(s) ? "forwards" : "by place", value: i ? "" : "?", parts: [] };
    y = drawn(out, s.step === n || bar.ghost ? bar : waits, middle, unit, y);
  });
  if (s.step === n) {
    const { start } = place(0), end = start + s.widths[0] * unit;
    for (const x of [start, end]) out.unshift(line(x, foot, x, y - 8, { "stroke-dasharray": "2 3", stroke: color.muted }));
  }
  return canvas(width, y, s.sentence, ...out);
}

// The step's rule in cells: R - 1 moves by the stride, then one whole window. null behind a transposed layer.
function windows(s, level) {
  const { kernel, stride, transposed } = s.layers[level], above = s.widths[level + 1];
  return transposed || !above ? null : { kernel, stride, moves: stride * (above - 1), count: above - 1 };
}

function cells(places, { unit, first, start, y }, rule, top) {
  const out = group({}), read = new Set(places), all = places.length ? last(places) - first + 1 : 0;
  const look = (i) => (top ? { fill: color.accent, stroke: color.accent, ink: color.onAccent }
    : rule && i >= rule.moves ? { fill: color.greenSoft, stroke: color.green, ink: color.ink }
      : { fill: color.soft, stroke: color.accent, ink: color.ink });
  if (unit < 5) {
    // Too many for cells of their own: one band for the moves, one for the last window. A thin one says how many it holds.
    const cut = rule ? Math.max(rule.moves, 0) : all;
    for (const [from, to] of [[0, cut], [cut, all]]) {
      if (to > from) out.append(rect(start + from * unit, y, Math.max((to - from) * unit, 2), HIGH, { fill: look(from).fill, stroke: look(from).stroke }));
    }
    if (all * unit < 24) out.append(text(start + all * unit + 8, y + 15, count(all, "unit"), { size: 12, fill: color.muted }));
  } else {
    for (const i of range(all)) {
      const { ink, ...colors } = look(i), x = start + i * unit, here = read.has(first + i);
      out.append(rect(x + 1, y, unit - 2, HIGH, { rx: 2, ...(here ? colors : { fill: color.paper, stroke: color.line, "stroke-dasharray": "2 2" }) }));
      if (unit >= 18 && textWidth(first + i, 12) < unit - 2) {
        out.append(text(x + unit / 2, y + 15, first + i, { size: 12, anchor: "middle", fill: here ? ink : color.muted }));
      }
    }
  }
  if (rule && all * unit >= 24) {
    out.append(brace(start, rule.moves * unit, y, `${rule.stride}·${num(rule.count)}`, color.accent),
      brace(start + rule.moves * unit, rule.kernel * unit, y, rule.kernel, color.green));
  }
  return out;
}
function brace(x, wide, y, words, stroke) {
  if (wide <= 0) return "";
  const from = x + 1.5, to = x + wide - 1.5, foot = y + HIGH + 3;
  return group({}, path(`M${px(from)},${foot}v4H${px(Math.max(to, from + 1))}v-4`, { stroke, "stroke-width": 1.5 }),
    wide > textWidth(words, 12) || !String(words).includes("·")
      ? text((from + to) / 2, foot + 17, words, { size: 12, anchor: "middle", weight: 700, fill: stroke, stroke: color.paper, "stroke-width": 3, "paint-order": "stroke" }) : "");
}
const empty = (middle, y, words) => group({}, rect(middle - 45, y, 90, HIGH, { fill: "none", stroke: color.line, "stroke-dasharray": "4 4", rx: 4 }),
  text(middle, y + 16, words, { anchor: "middle", weight: 700, fill: color.muted }));

// Which cells below each unit reads: the two edges of its window, or behind a transposed layer a line to each.
function links({ kernel, stride, transposed }, upper, lower, a, b) {
  const out = group({}), x = (at, i) => at.start + (i - at.first + 0.5) * at.unit, top = a.y + HIGH, foot = b.y;
  if (!upper.length || !lower.length) return out;
  if (upper.length > 40) {
    const edge = (at, i, side) => px(x(at, i) + (side * at.unit) / 2);
    return path(`M${edge(a, upper[0], -1)},${top}H${edge(a, last(upper), 1)}L${edge(b, last(lower), 1)},${foot}H${edge(b, lower[0], -1)}Z`, { fill: color.soft, "fill-opacity": 0.5, stroke: "none" });
  }
  for (const unit of upper) {
    const end = unit === last(upper) && !transposed;
    const read = transposed ? lower.filter((i) => unit - stride * i >= 0 && unit - stride * i < kernel) : [stride * unit, stride * unit + kernel - 1];
    if (!read.length) continue;
    const from = x(b, read[0]) - b.unit / 2 + 1, to = x(b, last(read)) + b.unit / 2 - 1;
    out.append(path(`M${px(x(a, unit))},${top}L${px(from)},${foot}H${px(to)}Z`, {
      fill: end ? color.greenSoft : color.soft, "fill-opacity": 0.45, stroke: end ? color.green : color.accent, "stroke-opacity": 0.55, "stroke-width": end ? 1.4 : 0.8 }));
  }
  return out;
}

// Left of a row: the step that gave its width.
function backwards(s, level, y, reached, now) {
  const n = s.layers.length, name = level ? `layer ${level}` : "input", small = { size: 12 };
  const out = [text(0, y + 6, name, { weight: now ? 700 : 400, fill: now ? color.accent : color.ink })];
  if (level === n) {
    const [from, to] = s.spans[n];
    return [...out, text(0, y + 22, `wanted: ${from === to ? from : `${from} to ${to}`}`, small), text(0, y + 38, `= ${s.output}`, { weight: 700 })];
  }
  const above = s.widths[level + 1], { kernel, stride, transposed } = s.layers[level];
  out.push(text(0, y - 17, `${transposed ? "transposed " : "window "}${kernel}/${stride} ↓`, { ...small, fill: color.muted }));
  if (!reached) return [...out, text(0, y + 22, "?", { ...small, fill: color.muted })];
  let rule = `${stride}·(${num(above)} − 1) + ${kernel}`;
  if (transposed && above) {
    const [from, to] = s.spans[level + 1];
    rule = from === to ? `unit ${from} reads` : `${from} to ${to} read`;
  }
  const [from, to] = s.spans[level], where = !transposed || from === undefined ? "" : from === to ? ` (unit ${from})` : ` (${from} to ${to})`;
  return [...out, above ? text(0, y + 22, rule, small) : "", text(0, y + 38, `= ${num(s.widths[level])}${where}`, { weight: 700 })];
}
// Right of a row: the forward ledger, which waits until the walk is down, and beside it the walk that goes wrong.
function ledger(s, level, y, width) {
  const { size, jump } = level ? s.forward[level - 1] : { size: 1, jump: "1" }, end = { size: 12, anchor: "end" };
  const [r, j] = s.step === s.layers.length ? [num(size), num(jump)] : ["?", "?"];
  const out = [text(width, y + 6, `r = ${r}`, { ...end, fill: color.green, weight: 700 }), text(width, y + 22, `j = ${j}`, end)];
  if (!s.wrong) return out;
  const said = level ? s.astray[level - 1] : s.output, needs = level ? s.needs[level - 1] : s.output, off = said !== needs;
  const words = !off ? `${width < 520 ? "✓" : "wrong:"} ${num(said)}` : width < 520 ? `✗ ${num(said)}` : `✗ ${num(said)} ≠ ${num(needs)}`;
  if (off && level === s.departs) out.push(rect(width - textWidth(words, 12) - 8, y + 25, textWidth(words, 12) + 8, 18, { fill: color.warmSoft, stroke: color.warm, rx: 3 }));
  return [...out, text(width - 3, y + 38, words, { ...end, fill: off ? color.warm : color.ink, weight: off ? 700 : 400 })];
}

// What stands under the input once the walk is there: the forward sum, or every width by phase.
const sumBar = (s) => ({ name: "forwards", value: forwards(s), ink: color.green, parts: [[1, "1"], ...terms(s)].filter(([size]) => size) });
function terms(s) {
  const jumps = [1, ...s.forward.map(({ jump }) => Number(jump))];
  const product = (times, jump) => [times * jump, `${times}·${num(jump)}`];
  return [...s.layers.map(({ kernel }, i) => product(kernel - 1, jumps[i])), product(s.output - 1, last(jumps))];
}
function phaseBar({ size, share }, s) {
  const here = s.step === s.layers.length && size === s.widths[0];
  return { name: share === "1" ? "everywhere" : `${share} of places${here ? ": here" : ""}`, value: `${num(size)}`, ink: here ? color.accent : color.ink, parts: size ? [[size, num(size)]] : [] };
}
function drawn(out, { name, value, ink, parts, ghost }, middle, unit, y) {
  const all = parts.reduce((sum, [size]) => sum + size, 0);
  let x = middle - (all * unit) / 2;
  if (value.includes("=") && textWidth(value, 12) > x - 6) value = value.slice(value.lastIndexOf("="));
  out.push(text(0, y + 6, name, { size: 12, fill: color.muted }), text(0, y + 21, value, { weight: 700, fill: ink, size: value.length > 14 ? 12 : 13 }));
  parts.forEach(([size, words], i) => {
    const wide = size * unit;
    out.push(rect(x, y, wide, 18, ghost ? { fill: color.warmSoft, stroke: color.warm, "stroke-width": 1.5, "stroke-dasharray": "5 3" }
      : { fill: i % 2 ? color.greenSoft : color.paper, stroke: color.green }));
    if (wide > textWidth(words, 12) + 4) out.push(text(x + wide / 2, y + 13.5, words, { size: 12, anchor: "middle" }));
    x += wide;
  });
  return y + 36;
}

function numbers(s) {
  const n = s.layers.length, several = s.output > 1, hidden = (value) => (s.step === n ? value : "?");
  const rows = s.layers.map(({ kernel, stride, transposed }, i) => [
    String(i + 1), `${kernel}/${stride}${transposed ? " T" : ""}`, hidden(s.forward[i].size), hidden(num(s.forward[i].jump)),
    ...(several ? [hidden(s.needs[i])] : []), i >= n - s.step ? s.widths[i] : "?",
    ...(s.wrong ? [`${s.astray[i] === s.needs[i] ? "" : "✗ "}${num(s.astray[i])}`] : [])]);
  const ledger = table({ caption: `Forwards down, backwards up${plain(s) ? "" : "; T: transposed"}`, rows,
    head: ["layer", "k/s", "r", "j", ...(several ? [plain(s) ? `r + ${s.output - 1}j` : `for ${s.output}`] : []), "needs", ...(s.wrong ? ["wrong"] : [])] });
  if (s.phases.length < 2) return ledger;
  return [ledger, table({ caption: `${s.output === 1 ? "One output needs, by the place where it stands" : `${s.output} outputs need, by the place where they stand`}`, head: ["inputs", "share of places", "first seen at output"],
    rows: s.phases.map(({ size, share, first }) => [size, share, first]) })];
}

export default figure({ state, draw, numbers });
