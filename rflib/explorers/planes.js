// The planes: image, A, B, C as grids. See _planes.py for what the state holds.
const IMAGE = 16, NAMES = ["image", "A", "B", "C"];
// A boat, a sun and waves; a digit is how dark a pixel is.
const BOAT = `0000000000000000 0011000000000000 0111100000010000 0111100000012000 0011000000112200 0000000001112200
0000000001112220 0000000011112222 0000000111112222 0000000000030000 0000044444444444 0000004444444440 1111114444444411
1221112211122111 2112221122211222 1222112221122211`.split(/\s/);

export function state({ row, column, kernel, stride }) {
  const before = Math.floor((kernel - 1) / 2), sizes = [IMAGE], fulls = [1];
  for (let depth = 0; depth < 3; depth++) {
    sizes.push(Math.floor((sizes[depth] - 1) / stride) + 1);
    fulls.push((fulls[depth] - 1) * stride + kernel);
  }
  row = Math.min(row, sizes[3] - 1);
  column = Math.min(column, sizes[3] - 1);
  const step = ([first, last], size) =>
    [Math.max(0, first * stride - before), Math.min(size - 1, last * stride - before + kernel - 1)];
  const maps = [{ name: "C", size: sizes[3], full: 1, rows: [row, row], columns: [column, column] }];
  for (let depth = 2; depth >= 0; depth--) {
    const [{ rows, columns }] = maps, size = sizes[depth];
    maps.unshift({ name: NAMES[depth], size, full: fulls[3 - depth], rows: step(rows, size), columns: step(columns, size) });
  }
  const [image, a, b] = maps, full = `${image.full}×${image.full}`;
  const words = `Unit C(${row}, ${column}) reads ${extent(b)} of B, the previous layer; through it ${extent(a)} of A and ` +
    `${extent(image)} of the image`;
  return { row, column, bounds: { row: sizes[3] - 1, column: sizes[3] - 1 }, kernel, stride, maps,
    sentence: extent(image) === full ? `${words}: its receptive field is ${full}.` : `${words}: its receptive field, ${full}, is cut by the border.` };
}

const length = ([first, last]) => last - first + 1;
const extent = ({ rows, columns }) => `${length(rows)}×${length(columns)}`;

// All maps are drawn equally large, so a unit stands over its own place in the image.
const place = (s, width) => {
  const wide = width >= 600, gap = wide ? 46 : 22, side = (width - gap * (wide ? 3 : 1)) / (wide ? 4 : 2) - 1, top = 26;
  // Reading order: image, A, B, C from left to right; on a phone C and B above, A and the image below.
  const spots = wide ? [[0, 0], [1, 0], [2, 0], [3, 0]] : [[0, 1], [1, 1], [0, 0], [1, 0]];
  const high = top + side + 70;
  return { wide, side, height: wide ? high : 2 * high, map: (depth) => {
    const [column, row] = spots[depth];
    return { x: 0.5 + column * (side + gap), y: top + row * high, cell: side / s.maps[depth].size };
  } };
};

const box = (at, rows, columns, attributes) =>
  rect(at.x + columns[0] * at.cell, at.y + rows[0] * at.cell, length(columns) * at.cell, length(rows) * at.cell, attributes);

const gridLines = (at, size, side) => {
  let d = "";
  for (let i = 0; i <= size; i++) {
    const t = px(i * at.cell);
    d += `M${px(at.x)} ${px(at.y + Number(t))}h${px(side)}M${px(at.x + Number(t))} ${px(at.y)}v${px(side)}`;
  }
  return path(d, { stroke: color.line, "stroke-width": 0.75 });
};

const picture = (at) => BOAT.flatMap((row, y) => [...row].map((level, x) => (level === "0" ? null
  : box(at, [y, y], [x, x], { fill: color.muted, opacity: px(0.22 * level) }))));

// The first unit of a patch, alone, and what it reads of the map before: one step, a kernel wide, wherever it is taken.
const oneStep = (s, depth) => {
  const before = Math.floor((s.kernel - 1) / 2), { size } = s.maps[depth - 1];
  const window = (first) => [Math.max(0, first * s.stride - before), Math.min(size - 1, first * s.stride - before + s.kernel - 1)];
  const row = s.maps[depth].rows[0], column = s.maps[depth].columns[0];
  return { unit: [[row, row], [column, column]], window: [window(row), window(column)] };
};

const drawMap = (s, at, depth) => {
  const map = s.maps[depth], here = at.map(depth), unit = depth === 3;
  const parts = [rect(here.x, here.y, at.side, at.side, { fill: depth ? color.cell : color.paper })];
  if (!depth) parts.push(picture(here));
  parts.push(box(here, map.rows, map.columns, unit ? { fill: color.accent } : depth ? { fill: color.soft } : { fill: color.accent, opacity: 0.2 }),
    gridLines(here, map.size, at.side));
  if (depth > 0 && depth < 3) parts.push(box(here, ...oneStep(s, depth).unit, { fill: color.accent }));
  parts.push(box(here, map.rows, map.columns, { fill: "none", stroke: color.accent, "stroke-width": 2.5 }));
  return group({}, parts, mapText(s, at, depth));
};

const mapText = (s, at, depth) => {
  const map = s.maps[depth], { x, y } = at.map(depth), low = y + at.side, name = depth ? map.name : "the image";
  const what = depth === 3 ? "one unit of C" : `${extent(map)} of ${name}`;
  return [text(x, y - 9, depth ? map.name : "image", { weight: 700, size: 14 }),
    text(x + at.side, y - 9, `${map.size}×${map.size}`, { anchor: "end", fill: color.muted }),
    text(x, low + 19, what, { weight: 600, fill: color.accent }),
    text(x, low + 36, `row${map.rows[0] === map.rows[1] ? "" : "s"} ${fromTo(map.rows)}`),
    text(x, low + 53, `column${map.columns[0] === map.columns[1] ? "" : "s"} ${fromTo(map.columns)}`)];
};

// From one unit to its window in the map before: the edge of the one joined to the edge of the other.
const drawStep = (s, at, depth) => {
  const { unit, window } = oneStep(s, depth), from = at.map(depth), to = at.map(depth - 1);
  const edge = (m, [rows, columns], right) => ({ x: m.x + (right ? columns[1] + 1 : columns[0]) * m.cell,
    top: m.y + rows[0] * m.cell, bottom: m.y + (rows[1] + 1) * m.cell });
  // The unit of C reads all of its patch of B, which has its outline already.
  const dashed = depth === 3 ? null : box(to, ...window, { fill: "none", stroke: color.ink, "stroke-width": 2, "stroke-dasharray": "4 2" });
  const left = to.x < from.x, a = edge(from, unit, !left), b = edge(to, window, left);
  if (from.y !== to.y) return [dashed];
  const d = `M${px(a.x)} ${px(a.top)}L${px(b.x)} ${px(b.top)}M${px(a.x)} ${px(a.bottom)}L${px(b.x)} ${px(b.bottom)}`;
  return [path(d, { stroke: depth === 3 ? color.accent : color.ink, "stroke-width": 1.25, opacity: 0.7 }), dashed];
};

function draw(s, width) {
  const at = place(s, width);
  return canvas(width, at.height, `An image and the maps A, B and C of three layers, as grids. ${s.sentence}`,
    [0, 1, 2, 3].map((depth) => drawMap(s, at, depth)), [3, 2, 1].map((depth) => drawStep(s, at, depth)));
}

// A click on a unit of C chooses it, as the sliders do.
const wire = (drawing, s, { set }) => drawing.addEventListener("click", (event) => {
  const area = drawing.getBoundingClientRect(), width = Number(drawing.getAttribute("width")), at = place(s, width), c = at.map(3);
  const column = Math.floor(((event.clientX - area.left) * width / area.width - c.x) / c.cell);
  const row = Math.floor(((event.clientY - area.top) * width / area.width - c.y) / c.cell);
  if (Math.min(row, column) >= 0 && Math.max(row, column) < s.maps[3].size) set({ row, column });
});

const numbers = (s) => [
  h("p", { class: "rf-note" }, `Filled: all that the unit of C reads. Dashed: what one unit (solid) reads of the map before it, ` +
    `${s.kernel}×${s.kernel}${s.kernel > 1 ? ", less what lies beyond the border. Each layer is padded so that stride 1 keeps the size" : ""}.`),
  table({ caption: "What the unit of C reads, map by map", head: ["map", "rows", "columns", "patch", "uncut"],
    rows: [...s.maps].reverse().map((map) => [map.name, fromTo(map.rows), fromTo(map.columns), extent(map), `${map.full}×${map.full}`]) }),
];

export default figure({ state, draw, numbers, wire });
