// The probe lab. The top of _probelab.py tells what the data mean and how they are laid out.
const KERNELS = [1, 3, 5, 7], DEPTHS = [22, 46, 70, 94], IMAGES = [16, 32, 48], FAR_IMAGE = 256, BLOCKS = 16;
const POOLS = ["none", "average first", "max first", "average last", "max last"];
const OFFSET = 20000, INF = 255, TWELFTHS = 12;

// Raw deflate (RFC 1951) at once: the browser's own DecompressionStream would keep the first picture waiting.
function inflate(input) {
  let out = new Uint8Array(1 << 20), size = 0, at = 0, hold = 0, held = 0;
  const bits = (n) => {
    while (held < n) { hold |= input[at++] << held; held += 8; }
    const value = hold & ((1 << n) - 1);
    hold >>>= n; held -= n;
    return value;
  };
  const put = (byte) => {
    if (size === out.length) { const more = new Uint8Array(size * 2); more.set(out); out = more; }
    out[size++] = byte;
  };
  const tree = (lengths) => {
    const counts = new Array(16).fill(0), starts = [0, 0], symbols = [];
    for (const length of lengths) if (length) counts[length]++;
    for (let n = 1; n < 15; n++) starts[n + 1] = starts[n] + counts[n];
    lengths.forEach((length, symbol) => { if (length) symbols[starts[length]++] = symbol; });
    return { counts, symbols };
  };
  const symbol = ({ counts, symbols }) => {
    let code = 0, first = 0, index = 0;
    for (let n = 1; n < 16; n++) {
      code |= bits(1);
      if (code - counts[n] < first) return symbols[index + code - first];
      index += counts[n]; first = (first + counts[n]) << 1; code <<= 1;
    }
    throw new Error("the figure's data are damaged");
  };
  const extra = (n, step, low) => range(n).map((i) => {
    const more = Math.max(0, Math.floor(i / step) - 1), base = low;
    low += 1 << more;
    return [base, more];
  });
  const lengthsOf = extra(28, 4, 3).concat([[258, 0]]), distancesOf = extra(30, 2, 1);
  for (let last = 0; !last;) {
    last = bits(1);
    const kind = bits(2);
    if (kind === 0) {
      hold = held = 0;
      const end = at + 4 + input[at] + 256 * input[at + 1];
      for (at += 4; at < end;) put(input[at++]);
      continue;
    }
    let codes = range(288).map((i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8)), far = new Array(30).fill(5);
    if (kind === 2) {
      const many = bits(5) + 257, farther = bits(5) + 1, few = bits(4) + 4, short = new Array(19).fill(0), all = [];
      for (let i = 0; i < few; i++) short[[16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15][i]] = bits(3);
      const head = tree(short);
      while (all.length < many + farther) {
        const s = symbol(head);
        if (s < 16) all.push(s);
        else {
          const value = s === 16 ? all.at(-1) : 0;
          for (let n = s === 16 ? 3 + bits(2) : s === 17 ? 3 + bits(3) : 11 + bits(7); n; n--) all.push(value);
        }
      }
      codes = all.slice(0, many); far = all.slice(many);
    }
    const literals = tree(codes), distances = tree(far);
    for (let s; (s = symbol(literals)) !== 256;) {
      if (s < 256) { put(s); continue; }
      const [length, more] = lengthsOf[s - 257], n = length + bits(more);
      const [distance, further] = distancesOf[symbol(distances)], back = distance + bits(further);
      for (let i = 0; i < n; i++) put(out[size - back]);
    }
  }
  return out.subarray(0, size);
}

const decode = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
function unpack(packed) {
  const raw = inflate(decode(packed));
  let at = 0;
  const bytes = (n) => raw.subarray(at, (at += n));
  const wide = (n) => { const low = bytes(n), high = bytes(n); return Uint16Array.from(low, (a, i) => a + 256 * high[i]); };
  const undo = (values) => {
    for (let i = 0; i < values.length; i++) if (i % FAR_IMAGE) values[i] += values[i - 1];
    return values;
  };
  const [maps, n] = wide(2), heights = bytes(maps), widths = bytes(maps), starts = [0];
  for (let i = 0; i < maps; i++) starts.push(starts[i] + heights[i] * widths[i]);
  const codes = bytes(starts[maps]);
  return { widths, map: (i) => codes.subarray(starts[i], starts[i + 1]), index: wide(n), count: wide(n), top: bytes(n), left: bytes(n),
    height: bytes(n), width: bytes(n), largest: wide(n), profiles: undo(wide(64 * FAR_IMAGE)), farLargest: wide(128),
    rows: undo(bytes(128 * 8 * FAR_IMAGE).slice()) };
}
let unpacked = { packed: null };
const storeOf = (packed) => {
  if (unpacked.packed !== packed) unpacked = { packed, store: unpack(packed) };
  return unpacked.store;
};

function netOf({ kernel, stride, layers, unit, number, far, image, weights, activation, batchnorm, pool, magnitude }) {
  const same = { kernel, stride, unit, number, far };
  if (far) return { ...same, depth: DEPTHS[layers - 1], image: FAR_IMAGE, weights: magnitude, activation: "identity", norm: "none", pool: "none" };
  return { ...same, depth: layers, image, weights: weights === "positive" ? magnitude : weights, activation, norm: batchnorm,
    pool: batchnorm === "train" ? "none" : pool };
}

// What the formulas say, along one axis. A layer: [kernel, stride, padding].
function truthOf(net) {
  const around = (net.kernel - 1) / 2, layers = range(net.depth).map((i) => [net.kernel, i ? 1 : net.stride, around]);
  if (net.pool !== "none") layers.splice(net.pool.endsWith("first") ? 1 : net.depth, 0, [2, 2, 0]);
  const sizes = [net.image];
  let size = 1, jump = 1;
  for (const [k, s, p] of layers) {
    size += (k - 1) * jump; jump *= s;
    sizes.push(Math.floor((sizes.at(-1) + 2 * p - k) / s) + 1);
  }
  let first = net.unit === "corner" ? 0 : sizes.at(-1) >> 1, last = first, read = new Set([first]);
  for (let i = layers.length - 1; i >= 0; i--) {
    const [k, s, p] = layers[i], next = new Set();
    for (const unit of read) for (let x = unit * s - p; x < unit * s - p + k; x++) if (x >= 0 && x < sizes[i]) next.add(x);
    first = first * s - p; last = last * s - p + k - 1; read = next;
  }
  return { size, field: [first, last], clipped: [Math.min(...read), Math.max(...read)], read: read.size };
}

const mixed = (...digits) => digits.reduce((value, [digit, base]) => value * base + digit, 0);
const layerAt = (net) => [[KERNELS.indexOf(net.kernel), 4], [net.stride - 1, 2]];
const near = (store, net) => {
  const i = mixed(...layerAt(net), [net.depth - 1, 4], [IMAGES.indexOf(net.image), 3],
    [net.unit === "corner", 2], [["random", "ones", "normalised"].indexOf(net.weights), 3], [net.activation === "relu", 2],
    [net.norm === "train" ? 5 : POOLS.indexOf(net.pool), 6]);
  const index = store.index[i], codes = store.map(index), train = net.norm === "train", top = store.top[i], left = store.left[i];
  const largest = store.largest[i] - OFFSET;
  const picture = () => {
    if (train) return { cells: BLOCKS, steps: 3, codes: codes.length ? codes : new Uint8Array(BLOCKS * BLOCKS) };
    const all = new Uint8Array(net.image * net.image), width = store.widths[index];
    codes.forEach((code, j) => { all[(top + Math.floor(j / width)) * net.image + left + (j % width)] = code; });
    return { cells: net.image, steps: 3, codes: all };
  };
  if (!codes.length) return { box: null, count: 0, infinite: 0, largest: null, smallest: null, picture };
  return { box: [top, top + store.height[i] - 1, left, left + store.width[i] - 1], count: store.count[i], infinite: 0, largest,
    smallest: train ? null : largest - (Math.max(...codes) - 1) * 4, picture };
};
const farOut = (store, net) => {
  const i = mixed(...layerAt(net), [DEPTHS.indexOf(net.depth), 4], [net.unit === "corner", 2],
    [net.weights !== "ones", 2]);
  const profile = store.profiles.subarray((i >> 1) * FAR_IMAGE, ((i >> 1) + 1) * FAR_IMAGE);
  // Codes in twelfths of a decade, -1 for inf.
  const codes = new Int16Array(FAR_IMAGE * FAR_IMAGE);
  let count = 0, infinite = 0, most = 0, box = null;
  for (let y = 0; y < FAR_IMAGE; y++) {
    const ends = range(8).map((part) => store.rows[(i * 8 + part) * FAR_IMAGE + y]);
    for (let x = 0; x < FAR_IMAGE; x++) {
      if (!profile[x] || !profile[y]) continue;
      let code = profile[x] + profile[y] - 1;
      if (net.number === "float32") {
        const at = 4 * (x % 2);
        if (x < ends[at] || x > ends[at + 1]) continue;
        if (ends[at + 2] <= x && x <= ends[at + 3]) code = -1;
      }
      codes[y * FAR_IMAGE + x] = code;
      count++;
      if (code < 0) infinite++; else if (code > most) most = code;
      box = box ? [box[0], y, Math.min(box[2], x), Math.max(box[3], x)] : [y, y, x, x];
    }
  }
  const largest = store.farLargest[i] - OFFSET;
  const picture = () => ({ cells: FAR_IMAGE, steps: 1,
    codes: Uint8Array.from(codes, (c) => (c < 0 ? INF : c && 1 + Math.floor((c + 5) / TWELFTHS))) });
  return { box, count, infinite, largest: infinite ? null : largest, smallest: infinite === count ? null : largest - (most - 1), picture };
};

const pixels = (n) => count(n, "pixel");
function verdict(truth, box) {
  const formula = `${truth.size} × ${truth.size}`;
  if (!box) return `Torch measures nothing: every gradient is 0. The formula says ${formula}.`;
  const measured = sizeOf(box);
  return `Torch measures ${measured}, ${measured === formula ? "and the formula agrees" : "the formula says " + formula}.`;
}
function reasons(net, truth, { box, count, infinite }) {
  if (!box) return ["A ReLU that is off stands in every path: a dead gradient is not an empty field."];
  if (net.norm === "train") {
    return ["Batch-norm in training mode takes mean and variance over the whole picture: every pixel that the first layer reads changes every unit."];
  }
  const [first, last] = truth.clipped, part = last - first + 1, whole = String(box) === String([first, last, first, last]), lost = truth.read ** 2 - count, said = [];
  if (infinite) said.push(`${pixels(infinite)} overflowed to inf in float32: inf is not 0, so the box survives, and the magnitudes do not.`);
  if (net.far && lost) {
    said.push(`${pixels(lost)} of the field underflowed to 0 in float32: ${whole ? "the set loses its corners, the box survives" : "the box shrinks"}.`);
  }
  const blocked = [net.pool.startsWith("max") && "Max-pool passes the gradient to the winner of each window alone",
    lost && net.activation === "relu" && net.weights === "random" && "ReLUs that are off pass nothing"].filter(Boolean);
  if (blocked.length) {
    const fate = `: ${blocked[1] ? "together " : ""}${pixels(lost)} of the field lost${whole ? ", though the box survives" : ""}`;
    said.push(`${blocked.join(", and ")}${lost ? fate : ""}.`);
  }
  if (String(truth.clipped) !== String(truth.field)) {
    const touches = Math.min(box[0], box[2]) === 0 || Math.max(box[1], box[3]) === net.image - 1;
    said.push(`${net.unit === "corner" ? "The unit stands in the corner, and the" : "The"} picture's border cuts the field to ${
      part} × ${part}: ${touches ? "the only sign of it is that the box touches the border" : "nothing in the gradient says so"}.`);
  }
  if (truth.read < part) said.push("The stride steps over pixels inside the box.");
  return said.length ? said : ["Nothing is switched off, cut or lost."];
}

const MAP = Symbol("for the drawing"), NET = Symbol("for the drawing");
export function state({ data, live, ...controls }) {
  const net = netOf(controls), truth = truthOf(net);
  let reading, source = "stored";
  if (live?.controls && Object.entries(controls).every(([name, value]) => live.controls[name] === value)) {
    const { cells, steps, codes } = live;
    reading = { ...live, picture: () => ({ cells, steps, codes: decode(codes) }) };
    source = live.source;
  } else reading = storeOf(data)[JSON.stringify(net)] ??= (net.far ? farOut : near)(storeOf(data), net);
  const { box, count, infinite, largest, smallest } = reading;
  return {
    sentence: [verdict(truth, box), ...reasons(net, truth, reading)].join(" "),
    shown: { "left in the network": !net.far, "2×2 pool": !net.far && net.norm !== "train", "positive weights": net.weights !== "random" },
    source, depth: net.depth, image: net.image, size: truth.size, field: truth.field, clipped: truth.clipped, expected: truth.read ** 2,
    box, count, infinite, largest, smallest, [MAP]: reading.picture, [NET]: net,
  };
}

// Viridis without its darkest end, which could be taken for zero on a dark page; the largest magnitude first.
const PALETTE = ["#fde725", "#d8e219", "#addc30", "#84d44b", "#5ec962", "#3fbc73", "#28ae80", "#1fa088",
  "#21918c", "#26828e", "#2c728e", "#33638d", "#3b528b", "#424086", "#472d7b"];
const tens = (e) => "10" + [...String(e)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("");
// A magnitude in words, from twelfths of a decade: good to a tenth, the smallest to one digit.
const about = (twelfths, to = 2) => {
  const e = Math.floor(twelfths / 12), digits = [1, 1.2, 1.5, 1.8, 2.2, 2.6, 3.2, 3.8, 4.6, 5.6, 6.8, 8.3][twelfths - 12 * e].toPrecision(to);
  return e < -2 || e > 4 ? `${Number(digits)} × ${tens(e)}` : num(Number((digits * 10 ** e).toPrecision(to)));
};
const lower = (codes) => codes.reduce((low, c) => (c && c !== INF && c < low ? c : low), INF);
const upper = (codes) => codes.reduce((high, c) => (c !== INF && c > high ? c : high), 0);
const shade = (code, low, high) => Math.round(((code - low) * (PALETTE.length - 1)) / Math.max(1, high - low));

// One path per colour, in units of a cell: runs of equal colour along each row.
function heat({ cells, codes }, low, high) {
  const runs = new Map();
  for (let y = 0; y < cells; y++) {
    for (let x = 0, from = 0; x < cells; x = from) {
      const of = (at) => { const c = codes[y * cells + at]; return c === INF ? color.warm : c ? PALETTE[shade(c, low, high)] : null; };
      const ink = of(x);
      for (from = x + 1; from < cells && of(from) === ink;) from++;
      if (ink) runs.set(ink, (runs.get(ink) ?? "") + `M${x} ${y}h${from - x}v1h${x - from}z`);
    }
  }
  return [...runs].map(([ink, d]) => path(d, { fill: ink, stroke: "none" }));
}
// A box in pixels of the picture, `around` CSS pixels wider; open where it would leave the picture.
function outline([top, bottom, left, right], s, x, y, cell, around, attributes) {
  const bound = (v, out) => clamp(v * cell + out, -16, s.image * cell + 16);
  const [x1, x2] = [bound(left, -around), bound(right + 1, around)].map((v) => px(x + v));
  const [y1, y2] = [bound(top, -around), bound(bottom + 1, around)].map((v) => px(y + v));
  const d = [top >= 0 && `M${x1} ${y1}H${x2}`, bottom < s.image && `M${x1} ${y2}H${x2}`,
    left >= 0 && `M${x1} ${y1}V${y2}`, right < s.image && `M${x2} ${y1}V${y2}`].filter(Boolean).join("");
  return [path(d, { stroke: color.paper, "stroke-width": 5, "stroke-linecap": "square" }), path(d, { "stroke-width": 2.5, "stroke-linecap": "square", ...attributes })];
}
const dashed = { stroke: color.warm, "stroke-dasharray": "5 5", "stroke-linecap": "butt" };
const swatch = (x, y, side = 16) => rect(x, y, side, side, { fill: color.cell, stroke: color.line });
const small = (anchor) => ({ size: 12, anchor, fill: color.muted });
const sizeOf = (box) => (box ? `${box[1] - box[0] + 1} × ${box[3] - box[2] + 1}` : "nothing");

function map(s, picture, low, high, marked, x, y, side) {
  const cell = side / s.image, block = side / picture.cells, [a, b] = s.clipped, lost = [];
  if (marked) {
    for (let r = a; r <= b; r++) for (let c = a; c <= b; c++) {
      if (!picture.codes[r * s.image + c]) lost.push(`M${c + 0.35} ${r + 0.35}h.3v.3h-.3z`);
    }
  }
  const to = { transform: `translate(${px(x)} ${px(y)}) scale(${block})` }, on = (from) => from + ((a + b + 1) / 2) * cell;
  const beyond = (ends) => arrow(...ends, { stroke: color.accent, head: 8, "stroke-width": 2.5 });
  return group({},
    swatch(x, y, side),
    group({ ...to, "shape-rendering": "crispEdges" }, heat(picture, low, high)),
    path(lost.join(""), { ...to, fill: color.muted, stroke: "none" }),
    outline([...s.field, ...s.field], s, x, y, cell, 4, { stroke: color.accent }),
    s.box ? outline(s.box, s, x, y, cell, 0, dashed) : null,
    // Arrows where the field goes on beyond the picture.
    s.field[0] < 0 ? [[x, on(y), x - 14, on(y)], [on(x), y, on(x), y - 14]].map(beyond) : null,
    s.field[1] >= s.image ? [[x + side, on(y), x + side + 14, on(y)], [on(x), y + side, on(x), y + side + 14]].map(beyond) : null,
    [0, s.image - 1].map((t) => [text(x + (t + 0.5) * cell, y + side + 30, t, small("middle")),
      text(x - 20, y + (t + 0.5) * cell + 4, t, small("end"))]),
    s.infinite > 400 ? text(x + side / 2, y + side / 2 + 5, "inf", { size: 16, weight: 700, anchor: "middle", fill: color.onWarm }) : null);
}

// The largest magnitude of each column, on a logarithmic scale.
function profile(s, picture, low, high, x, y, width, height) {
  const { cells, codes } = picture, cell = width / cells, one = width / s.image, bars = [];
  const level = (code) => y + (0.88 * height * (code - low)) / Math.max(1, high - low);
  for (let c = 0; c < cells; c++) {
    const column = range(cells).map((r) => codes[r * cells + c]).filter(Boolean), inf = column.includes(INF);
    if (!column.length) continue;
    const best = Math.min(...column), top = inf ? y : level(best);
    bars.push(rect(x + c * cell, top, cell, y + height - top, { fill: inf ? color.warm : PALETTE[shade(best, low, high)] }));
  }
  const bracket = ([from, to], at, attributes) => line(x + clamp(from, -12 / one, s.image) * one, at,
    x + clamp(to + 1, 0, s.image + 12 / one) * one, at, { "stroke-width": 3, ...attributes });
  // Ticks at the first and the last power of ten; where there is none, at the smallest.
  const step = TWELFTHS / picture.steps, base = s.smallest ?? s.largest - (high - low) * step;
  const from = Math.ceil(base / 12) * 12, to = Math.floor((base + (high - low) * step) / 12) * 12;
  const ticks = !high ? [] : from > to ? [base] : s.infinite ? [from] : [...new Set([from, to])];
  return group({},
    text(x - 30, y - 12, "largest gradient of each column, log scale", small()),
    group({ "shape-rendering": "crispEdges" }, bars),
    line(x, y + height, x + width, y + height, { stroke: color.muted }),
    s.infinite ? text(x - 6, y + 4, "inf", small("end")) : null,
    ticks.map((t) => {
      const at = level(high - (t - base) / step);
      return [line(x - 4, at, x, at, { stroke: color.muted }), text(x - 6, at + 4, t % 12 ? about(t, 1).replaceAll(" ", "") : tens(t / 12), small("end"))];
    }),
    text(x - 16, y + height + 10, "0", small("end")),
    bracket(s.field, y + height + 9, { stroke: color.accent }),
    s.box ? bracket(s.box.slice(2), y + height + 16, dashed) : null,
    [0, s.image - 1].map((t) => text(x + (t + 0.5) * one, y + height + 32, t, small("middle"))),
    text(x + width / 2, y + height + 32, "column", small("middle")));
}

function legend(s, low, high, lost, x, y, wide) {
  const step = 12, entries = [];
  let at = x;
  const next = (wanted) => { if (at > x && at + wanted > x + wide) { at = x; y += 24; } const from = at; at += wanted; return from; };
  const put = (mark, words) => { const from = next(34 + textWidth(words, 13) + 14); entries.push(mark(from, y), text(from + 34, y + 5, words)); };
  const bar = (look) => (a, b) => line(a, b, a + 26, b, { "stroke-width": 3, ...look });
  put(bar({ stroke: color.accent }), `formula ${s.size} × ${s.size}`);
  put(bar(dashed), `measured ${sizeOf(s.box)}`);
  put((a, b) => swatch(a + 6, b - 8), "zero");
  if (lost) put((a, b) => [swatch(a + 6, b - 8), rect(a + 11, b - 3, 6, 6, { fill: color.muted })], "zero in the field");
  if (s.infinite) put((a, b) => rect(a + 6, b - 8, 16, 16, { fill: color.warm }), "inf");
  if (high) {
    const shades = high > low ? [...PALETTE].reverse() : [PALETTE[0]], from = next(shades.length * step + 90);
    entries.push(text(from, y + 5, "tiny"), shades.map((ink, i) => rect(from + 32 + i * step, y - 8, step, 16, { fill: ink, "shape-rendering": "crispEdges" })),
      text(from + 38 + shades.length * step, y + 5, "large"));
  }
  return { node: group({}, entries), bottom: y + 14 };
}

// The net in words, a line for as much as fits.
function netInWords({ depth, kernel, stride, activation, norm, pool, weights, number }, width) {
  const more = [{ eval: "batch-norm (eval)", train: "batch-norm (training)" }[norm], activation === "relu" && "ReLU"].filter(Boolean);
  const words = range(depth).map((i) => [`conv ${kernel} × ${kernel}${i || stride === 1 ? "" : "/" + stride}`, ...more].join(" + "));
  if (pool !== "none") words.splice(pool.endsWith("first") ? 1 : depth, 0, pool.startsWith("max") ? "max-pool" : "average-pool");
  const parts = [];
  for (let i = 0, n; i < words.length; i += n) {
    for (n = 1; words[i + n] === words[i];) n++;
    parts.push(n > 1 ? `${n} × (${words[i]})` : words[i]);
  }
  const values = { ones: "weights all 1", normalised: `weights 1/${kernel * kernel}`, random: "random weights" };
  const lines = [""];
  for (const word of [...parts.map((part, i) => (i ? "→ " : "") + part), "· " + values[weights], "· " + number]) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (textWidth(longer, 13) > width) lines.push(word); else lines[lines.length - 1] = longer;
  }
  return lines;
}

function draw(s, width) {
  const picture = s[MAP](), low = lower(picture.codes), high = upper(picture.codes);
  const title = netInWords(s[NET], width - 12), y = 30 + title.length * 18;
  const two = width >= 600, left = 42, side = two ? Math.min(width / 2 - left - 26, 360) : Math.min(width - left - 20, 400);
  const beside = two ? side + left + 76 : left, across = two ? width - beside - 20 : side;
  const under = two ? y + 22 : y + side + 60, tall = two ? side - 34 : 96;
  const lost = picture.cells === s.image && s.image < FAR_IMAGE && s.count < s.expected;
  const key = legend(s, low, high, lost, 6, (two ? y + side : under + tall) + 56, width - 12);
  return canvas(width, key.bottom, s.sentence,
    title.map((words, i) => text(6, 20 + 18 * i, words, { fill: color.muted })),
    map(s, picture, low, high, lost, left, y, side),
    profile(s, picture, low, high, beside, under, across, tall), key.node);
}

const NORMAL = { kernel: 3, stride: 1, layers: 3, unit: "centre", number: "float32", far: false, image: 32, weights: "positive",
  activation: "identity", batchnorm: "none", pool: "none", magnitude: "normalised" };
const TRAPS = [
  ["random weights and ReLU", { weights: "random", activation: "relu" }], ["dead", { layers: 4, weights: "random", activation: "relu" }],
  ["max-pool", { layers: 2, image: 16, pool: "max last" }], ["batch-norm in training", { batchnorm: "train" }],
  ["overflow", { far: true, magnitude: "ones" }], ["underflow", { layers: 4, far: true }],
  ["picture too small", { kernel: 7, stride: 2, layers: 4 }], ["corner", { unit: "corner" }], ["repaired", { number: "float64" }],
];
const extras = (s, set) => TRAPS.map(([name, values]) => button(name, () => set({ ...NORMAL, ...values })));

const half = (twice) => String(twice / 2);
function numbers(s) {
  const [top, bottom, left, right] = s.box ?? [];
  const field = fromTo(s.field) + (String(s.field) === String(s.clipped) ? "" : `, in the picture ${fromTo(s.clipped)}`);
  const spread = !s.box ? "0" : s.infinite ? (s.smallest === null ? "inf" : `${about(s.smallest)} to inf`)
    : s.smallest === null ? `up to ${about(s.largest)}` : `about ${s.smallest < s.largest ? about(s.smallest, 1) + " to " : ""}${about(s.largest)}`;
  const shown = (words) => (s.box ? words : "none");
  return [
    table({ caption: `${count(s.depth, "layer")}, ${s.image} × ${s.image} pixels`,
      head: ["measure", "formula", "torch"], rows: [
        ["size", `${s.size} × ${s.size}`, sizeOf(s.box)],
        ["rows", field, shown(fromTo([top, bottom]))],
        ["columns", field, shown(fromTo([left, right]))],
        ["middle", half(s.field[0] + s.field[1]), shown(`${half(top + bottom)}, ${half(left + right)}`)],
        ["pixels that count", s.expected, s.count],
        ["gradient's magnitude", "–", spread]] }),
    s[NET].unit === "centre" ? h("p", { class: "rf-note" }, "An even number of pixels has no middle one: "
      + `the picture's middle is ${half(s.image - 1)}, the field's ${half(s.field[0] + s.field[1])}.`) : null,
    h("p", { class: "rf-note" }, s.source === "stored" ? "Torch measured every state of this figure; its numbers are stored with it, to a third of a power of ten."
      : `Numbers: ${s.source}.`, s[NET].norm === "train" && s.image > BLOCKS
      ? ` Drawn in blocks of ${s.image / BLOCKS} × ${s.image / BLOCKS} pixels, each with its largest gradient.` : ""),
  ];
}

export default figure({ state, draw, numbers, extras });
