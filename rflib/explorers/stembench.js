// The stem bench: staircase of the field over the stages, the box on the photograph, the bill.

const IMAGE = 224, TOP = 4000; // the staircase's axis goes from 1 to TOP
const STAGES = ["stem", "layer1", "layer2", "layer3", "layer4"];
const BLOCKS = { 18: [2, 2, 2, 2], 50: [3, 4, 6, 3] };
const POOL = { k: 3, s: 2, p: 1 };

const conv = (k, from, to, s = 1) => ({ k, s, p: Math.max(0, Math.ceil((k - s) / 2)), from, to });
const STEMS = {
  resnet: { convs: [conv(7, 3, 64, 2)], pool: true },
  deep: { convs: [conv(3, 3, 32, 2), conv(3, 32, 32), conv(3, 32, 64)], pool: true },
  three: { convs: [conv(3, 3, 64), conv(3, 64, 64), conv(3, 64, 64)], pool: false },
  "three-narrow": { convs: [conv(3, 3, 32), conv(3, 32, 32), conv(3, 32, 64)], pool: false },
  "three-first": { convs: [conv(3, 3, 64, 2), conv(3, 64, 64), conv(3, 64, 64)], pool: true },
  "three-last": { convs: [conv(3, 3, 64), conv(3, 64, 64), conv(3, 64, 64, 2)], pool: true },
  patchify: { convs: [conv(4, 3, 64, 4)], pool: false },
  cifar: { convs: [conv(3, 3, 64)], pool: false },
  mobile: { convs: [conv(3, 3, 32, 2)], pool: false },
};

// The residual blocks of a stage: [layers of the main path, the shortcut's 1x1 or null].
function blocks(body, stage, channels) {
  const width = 64 * 2 ** (stage - 1), made = [];
  for (let i = 0; i < BLOCKS[body][stage - 1]; i++) {
    const s = stage > 1 && i === 0 ? 2 : 1, out = body === 18 ? width : 4 * width;
    const main = body === 18 ? [conv(3, channels, width, s), conv(3, width, width)]
      : [conv(1, channels, width), conv(3, width, width, s), conv(1, width, out)];
    made.push([main, s === 1 && channels === out ? null : conv(1, channels, out, s)]);
    channels = out;
  }
  return made;
}

// Every stage with field, jump, map and costs, and the path: its layers, each with the size of the map that it reads.
function walk({ convs, pool }, body) {
  let size = 1, jump = 1, map = IMAGE, channels = 3;
  const path = [], stages = [];
  const step = (layer) => {
    path.push({ ...layer, map });
    size += (layer.k - 1) * jump;
    jump *= layer.s;
    map = Math.floor((map + 2 * layer.p - layer.k) / layer.s) + 1;
    channels = layer.to ?? channels;
  };
  for (let stage = 0; stage < 5; stage++) {
    let weights = 0, products = 0, values = 0;
    const pay = (layer) => {
      const w = layer.to ? layer.k ** 2 * layer.from * layer.to : 0;
      weights += w;
      products += w * map ** 2;
      values += (layer.to ?? channels) * map ** 2;
    };
    const parts = stage ? blocks(body, stage, channels) : [[[...convs, ...(pool ? [POOL] : [])], null]];
    for (const [main, shortcut] of parts) {
      for (const layer of main) { step(layer); pay(layer); }
      if (shortcut) pay(shortcut); // as large as the main path's last map
    }
    stages.push({ size, jump, map, weights, products, values });
    stages[stage].layers = path.length;
  }
  return { path, stages: stages.map(({ layers, ...rest }) => rest), lengths: stages.map(({ layers }) => layers) };
}

// First and last pixel that a unit reads; clipped: every map's padding left out on the way.
function region(path, unit, clip) {
  let first = unit, last = unit;
  for (const { k, s, p, map } of [...path].reverse()) {
    first = first * s - p;
    last = last * s - p + k - 1;
    if (clip) [first, last] = [Math.max(first, 0), Math.min(last, map - 1)];
  }
  return [first, last];
}

export function state({ stem, body, kernel, stride, stage, pool, data }) {
  const own = STEMS[stem], first = own.convs[0];
  const isOwn = kernel === first.k && stride === first.s && pool === own.pool;
  const made = { convs: [conv(kernel, 3, first.to, stride), ...own.convs.slice(1)], pool };
  const { path, stages, lengths } = walk(made, body);
  const unit = Math.floor(stages[stage].map / 2), part = path.slice(0, lengths[stage]);
  const field = region(part, unit, false), inside = region(part, unit, true);
  const now = {
    stem, own: { kernel: first.k, stride: first.s, pool: own.pool }, changed: !isOwn,
    first: `${kernel}×${kernel}` + (stride > 1 ? `/${stride}` : ""), body, stage, stages,
    others: Object.keys(STEMS).filter((name) => name !== stem || !isOwn)
      .map((name) => ({ stem: name, sizes: walk(STEMS[name], body).stages.map(({ size }) => size) })),
    unit, field, inside,
    share: tenths(100 * (inside[1] - inside[0] + 1) ** 2, IMAGE ** 2),
    ratio: tenths(100 * (field[1] - field[0] + 1) ** 2, IMAGE ** 2),
  };
  const found = { sentence: words(now, kernel, stride), ...now };
  return Object.defineProperty(found, "photograph", { value: data }); // for the drawing; not one of the numbers
}

function words({ stages, stage, field, inside, share }, kernel, stride) {
  const { size, jump, map } = stages[stage], spent = stages.map(({ products }) => products);
  const upto = spent.slice(0, stage + 1).reduce((sum, each) => sum + each);
  const whole = field[0] === inside[0] && field[1] === inside[1];
  return [
    `The field of a unit of ${stage ? STAGES[stage] : "the stem"} is ${count(size, "pixel")} a side; the next unit's field lies ${count(jump, "pixel")} further on.`,
    (whole ? "It spans " : "It reaches beyond the border and spans ") +
      `${partOfImage(share)}${stride > kernel && size > kernel ? ", gaps included" : ""}.`,
    `The stem takes ${tenths(spent[0], 1e6)} million multiply-adds` + (stage ? ` of ${tenths(upto, 1e6)} million up to here.` : "."),
    stride > kernel ? `With stride ${stride} and kernel ${kernel}, ${stride - kernel} of every ${stride} rows and columns ${
      stride - kernel === 1 ? "is" : "are"} read by no unit.` : null,
    map <= 3 ? `The map has shrunk to ${map}×${map} units.` : null,
  ].filter(Boolean).join(" ");
}

function draw(s, width) {
  const wide = width >= 620, side = wide ? Math.min(300, Math.round(width * 0.4)) : Math.min(width, 340);
  const stairs = staircase(s, wide ? width - side - 28 : width, wide ? side + 24 : 270);
  const at = wide ? [width - side, 0] : [(width - side) / 2, 284];
  return canvas(width, wide ? side + 24 : 284 + side + 24, s.sentence, stairs, picture(s, ...at, side));
}

function staircase(s, width, height) {
  const left = 40, right = width - 92, top = 20, bottom = height - 22, band = (right - left) / 5;
  const X = (stage) => left + band * stage, Y = (size) => bottom - (Math.log(size) / Math.log(TOP)) * (bottom - top);
  const steps = (sizes) => sizes.map((size, i) => `${i ? "V" : `M${px(X(0))},`}${px(Y(size))}H${px(X(i + 1))}`).join("");
  const sizes = s.stages.map(({ size }) => size), out = [];
  out.push(rect(X(s.stage), top, band, bottom - top, { fill: color.soft, opacity: 0.6 }));
  out.push(text(0, 12, "field, pixels", { size: 12, fill: color.muted }));
  for (const tick of [1, 10, 100, 1000]) {
    out.push(line(left, Y(tick), right, Y(tick), { stroke: color.faint }));
    out.push(text(left - 6, Y(tick) + 4, num(tick), { size: 12, anchor: "end", fill: color.muted }));
  }
  STAGES.forEach((name, i) => out.push(text(X(i + 0.5), bottom + 16, name, { size: 12, anchor: "middle",
    weight: i === s.stage ? 700 : null, fill: i === s.stage ? color.accent : color.ink })));
  for (const other of s.others) out.push(path(steps(other.sizes), { stroke: color.muted, opacity: 0.55 }));
  out.push(line(left, Y(IMAGE), right, Y(IMAGE), { stroke: color.warm, "stroke-width": 1.5, "stroke-dasharray": "6 4" }));
  out.push(text(left + 4, Y(IMAGE) - 5, "image: 224", { size: 12, fill: color.warm }));
  out.push(path(steps(sizes), { stroke: color.paper, "stroke-width": 6 }), path(steps(sizes), { stroke: color.accent, "stroke-width": 3 }));
  sizes.forEach((size, i) => {
    const y = Y(size) + (Y(IMAGE) < Y(size) && Y(size) - Y(IMAGE) < 20 ? 16 : -6);
    out.push(text(X(i + 0.5), y, num(size), { anchor: "middle", weight: 700, fill: color.accent, stroke: color.paper, "stroke-width": 3, "paint-order": "stroke" }));
  });
  const label = s.changed ? `${s.first} …` : s.stem;
  const names = s.others.map((other) => ({ y: Y(other.sizes[4]), name: other.stem }));
  return group({}, ...out, ...ends([...names, { y: Y(sizes[4]), name: label, here: true }], right, bottom));
}

// The names at the lines' ends, each group of those that would overlap spread about its middle, with a thread to its line.
function ends(names, x, bottom) {
  const gap = 14, groups = [];
  for (const name of names.sort((a, b) => a.y - b.y)) {
    let now = { middle: name.y, names: [name] };
    for (let before = groups.at(-1); before && before.middle + (gap * (before.names.length + now.names.length)) / 2 > now.middle; before = groups.at(-1)) {
      const all = [...before.names, ...now.names];
      groups.pop();
      now = { middle: all.reduce((sum, { y }) => sum + y, 0) / all.length, names: all };
    }
    groups.push(now);
  }
  return groups.flatMap(({ middle, names: group }) => group.flatMap(({ y, name, here }, i) => {
    const at = Math.min(middle, bottom - (gap * group.length) / 2) + gap * (i - (group.length - 1) / 2);
    const ink = here ? color.accent : color.muted;
    return [path(`M${px(x)},${px(y)}L${px(x + 10)},${px(at)}`, { stroke: ink, opacity: here ? 1 : 0.6 }),
      text(x + 13, at + 4, name, { size: 12, weight: here ? 700 : null, fill: ink })];
  }));
}

// The photograph with the box, in a view that has room for what lies outside, up to a whole image on each side.
function picture(s, x, y, side) {
  const [first, last] = s.field, reach = Math.max(-first, last - IMAGE + 1, 0);
  const room = [8, 40, 80, 128, 176].find((each) => reach <= each) ?? 224, low = -room, high = IMAGE + room;
  const scale = side / (high - low), P = (edge) => (clamp(edge, low, high) - low) * scale;
  const a = P(first), b = P(last + 1), A = P(0), B = P(IMAGE);
  const hatched = [[a, a, b, Math.min(b, A)], [a, Math.max(a, B), b, b], [a, Math.max(a, A), Math.min(b, A), Math.min(b, B)],
    [Math.max(a, B), Math.max(a, A), b, Math.min(b, B)]];
  const caption = `unit ${s.unit}, ${s.unit} of ${STAGES[s.stage]}${reach ? "; hatched: outside" : ""}`;
  const frame = (attributes) => rect(a, a, b - a, b - a, { fill: "none", ...attributes });
  return group({ transform: `translate(${px(x)} ${px(y)})` },
    rect(0, 0, side, side, { fill: color.cell }),
    svg("image", { href: `data:image/jpeg;base64,${s.photograph}`, x: px(A), y: px(A), width: px(B - A), height: px(B - A) }),
    path(hatched.map((corners) => hatch(...corners)).join(""), { stroke: color.warm, "stroke-width": 1.2 }),
    frame({ stroke: "#ffffff", "stroke-width": 5 }), frame({ stroke: "#0072b2", "stroke-width": 2.5 }),
    text(0, side + 17, caption, { size: 12, fill: color.muted }));
}

// Hard spaces: a unit stays with its number.
const memory = (n) => (n < 1e5 ? `${tenths(n, 1e3)}\u00a0kB` : `${tenths(n, 1e6)}\u00a0MB`);
const short = (n) => (n < 1e6 ? num(n) : n < 1e9 ? `${tenths(n, 1e6)}\u00a0M` : `${tenths(n, 1e9)}\u00a0G`);

function numbers(s) {
  const rows = s.stages.map(({ size, jump, map, weights, products, values }, i) =>
    [STAGES[i], size, jump, `${map}×${map}`, short(weights), short(products), memory(4 * values)]);
  return [
    table({ caption: "Each stage's own weights, multiply-adds (MACs) and memory of activations (float32), for one 224×224 image",
      head: ["stage", "r", "j", "map", "weights", "MACs", "memory"], rows, now: s.stage }),
    h("p", { class: "rf-note" }, `Inside the image: ${percent(s.share)} of its area. The whole field's area, r²: ${percent(s.ratio)} of the image's.`),
  ];
}

// A stem that was just chosen brings its own first kernel, stride and pool.
function wire(_drawn, s, { set, memory }) {
  if (memory.stem !== undefined && memory.stem !== s.stem) set(s.own);
  memory.stem = s.stem;
}

export default figure({ state, draw, numbers, wire });
