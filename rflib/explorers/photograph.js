// The photograph: a unit's field as a box on it, hatched outside; beside it what lies in the box, enlarged.

const IMAGE = 224, STAGES = ["stem", "layer1", "layer2", "layer3", "layer4"];
const BLOCKS = { 18: [2, 2, 2, 2], 50: [3, 4, 6, 3] };

// [kernel, stride, padding] of every layer on the longest way to the end of a stage.
function layersOf(network, stage, padding) {
  const found = [[7, 2, padding], [3, 2, 1]];
  for (let i = 0; i < stage; i++) {
    for (let block = 0; block < BLOCKS[network][i]; block++) {
      const three = [3, i && !block ? 2 : 1, 1];
      found.push(...(network === 18 ? [three, [3, 1, 1]] : [[1, 1, 0], three, [1, 1, 0]]));
    }
  }
  return found;
}
// First and last pixel that a unit reads; with maps: without what is padding on the way.
function region(layers, unit, maps) {
  let first = unit, last = unit;
  for (let i = layers.length - 1; i >= 0; i--) {
    const [k, s, p] = layers[i];
    [first, last] = [first * s - p, last * s - p + k - 1];
    if (maps) [first, last] = [Math.max(first, 0), Math.min(last, maps[i] - 1)];
  }
  return [first, last];
}
const centreOf = ([first, last]) => (first + last) / 2; // a pixel, as all kernels are odd
const length = ([first, last]) => last - first + 1;
const span = (ends) => ends.join(" to ").replaceAll("-", "−");

export function state({ network, stage, row, column, padding, data }) {
  const layers = layersOf(network, stage, padding), maps = [IMAGE];
  let size = 1, jump = 1;
  for (const [k, s, p] of layers) {
    size += (k - 1) * jump;
    jump *= s;
    maps.push(Math.floor((maps.at(-1) + 2 * p - k) / s) + 1);
  }
  const units = maps.at(-1);
  [row, column] = [Math.min(row, units - 1), Math.min(column, units - 1)];
  const rows = region(layers, row), columns = region(layers, column);
  const readRows = region(layers, row, maps), readColumns = region(layers, column, maps);
  const ends = [0, units - 1].map((unit) => region(layers, unit));
  const now = { network, stage, row, column, padding, size, jump, units,
    reach: [ends[0][0], ends[1][1]], looks: ends.map(centreOf), centre: [rows, columns].map(centreOf),
    rows, columns, readRows, readColumns,
    part: tenths(100 * length(readRows) * length(readColumns), size ** 2),
    bounds: { row: units - 1, column: units - 1 } };
  const found = { sentence: words(now), ...now };
  return Object.defineProperty(found, "photograph", { value: data }); // for the drawing; not one of the numbers
}

function words({ row, column, stage, size, rows, columns, readRows, readColumns, part }) {
  const said = `The field of unit ${row}, ${column} of ${STAGES[stage]} has rows ${span(rows)} and columns ${span(columns)}: ` +
    `${size}×${size} pixels, whatever the padding.`;
  const height = length(readRows), width = length(readColumns);
  if (height === size && width === size) return `${said} All of them lie inside the image.`;
  // Without padding the first layer's windows leave one row and one column over at the end.
  const missed = [["row", rows, readRows], ["column", columns, readColumns]]
    .filter(([, field, read]) => read[1] < Math.min(field[1], IMAGE - 1)).map(([axis, , read]) => `${axis} ${read[1] + 1}`);
  const over = missed.length ? ` or in ${missed.join(" and ")}, which no window reaches` : "";
  return `${said} Of these it reads ${height}×${width}, ${part} %; the rest lies outside the image${over}.`;
}

// The view has room for every unit's field, so that the photograph stays where it is while the box moves.
const roomFor = ({ reach: [first, last] }) => Math.ceil(Math.max(8, -first, last - IMAGE + 1) / 16) * 16;

function draw(s, width) {
  const wide = width >= 620, side = wide ? Math.min(440, Math.round(width * 0.58)) : Math.min(width, 420);
  const lens = wide ? Math.min(260, width - side - 28) : Math.min(width, 200), x = wide ? side + 28 : 0, y = wide ? 22 : side + 48;
  return canvas(width, wide ? side + 24 : y + lens + 4, s.sentence, scene(s, side),
    text(0, side + 17, "box: the field; hatched: outside the image" + (dotted(s) ? "; dots: units" : ""), { size: 12, fill: color.muted }),
    text(x, y - 8, `its field: ${s.size}×${s.size} pixels`, { weight: 600 }), view(s, x, y, lens));
}

const dotted = ({ units }) => units <= 16;
const image = (s, attributes) => svg("image", { href: `data:image/jpeg;base64,${s.photograph}`, ...attributes });

function scene(s, side) {
  const room = roomFor(s), scale = side / (IMAGE + 2 * room), P = (edge) => (edge + room) * scale;
  const box = [P(s.columns[0]), P(s.rows[0]), P(s.columns[1] + 1), P(s.rows[1] + 1)], A = P(0), B = P(IMAGE);
  const frame = (attributes) => rect(box[0], box[1], box[2] - box[0], box[3] - box[1], { fill: "none", ...attributes });
  const dots = [];
  const middle = (unit) => P(s.reach[0] + s.size / 2 + unit * s.jump);
  for (let i = 0; dotted(s) && i < s.units ** 2; i++) {
    const row = Math.floor(i / s.units), column = i % s.units, here = row === s.row && column === s.column;
    dots.push(svg("circle", { cx: px(middle(column)), cy: px(middle(row)), r: here ? 4.5 : 2.2, fill: here ? "#0072b2" : "#ffffff",
      stroke: here ? "#ffffff" : "#1c2128", "stroke-width": here ? 2 : 1 }));
  }
  return group({ "data-scene": side, cursor: "crosshair" }, rect(0, 0, side, side, { fill: color.cell }),
    image(s, { x: px(A), y: px(A), width: px(B - A), height: px(B - A) }),
    path(outside(box, A, B).map((part) => hatch(...part, 7)).join(""), { stroke: color.warm, "stroke-width": 1.2 }),
    ...dots, frame({ stroke: "#ffffff", "stroke-width": 5 }), frame({ stroke: "#0072b2", "stroke-width": 2.5 }));
}

// The field alone, enlarged: the photograph under a window of its own.
function view(s, x, y, side) {
  const scale = side / s.size, at = ([first]) => -first * scale;
  const inner = [at(s.columns), at(s.rows)], far = IMAGE * scale;
  const window_ = svg("svg", { x: px(x), y: px(y), width: side, height: side, style: `width:${side}px;height:${side}px;overflow:hidden` },
    rect(0, 0, side, side, { fill: color.cell }),
    image(s, { x: px(inner[0]), y: px(inner[1]), width: px(far), height: px(far), style: "image-rendering:pixelated" }));
  const [left, top, right, bottom] = [inner[0], inner[1], inner[0] + far, inner[1] + far].map((edge) => clamp(edge, 0, side));
  const parts = [[0, 0, side, top], [0, bottom, side, side], [0, top, left, bottom], [right, top, side, bottom]];
  return group({}, window_, group({ transform: `translate(${px(x)} ${px(y)})` },
    path(parts.map((part) => hatch(...part, 9)).join(""), { stroke: color.warm, "stroke-width": 1.2 }),
    rect(0, 0, side, side, { fill: "none", stroke: color.accent, "stroke-width": 2.5 })));
}

// The parts of a box beyond the image: above, below, left, right. They do not overlap.
function outside([x0, y0, x1, y1], A, B) {
  const top = clamp(A, y0, y1), bottom = clamp(B, y0, y1);
  return [[x0, y0, x1, top], [x0, bottom, x1, y1], [x0, top, clamp(A, x0, x1), bottom], [clamp(B, x0, x1), top, x1, bottom]];
}

const numbers = (s) => table({ caption: `ResNet-${s.network}, ${STAGES[s.stage]}: r = ${s.size}, j = ${s.jump}; ${s.units}×${s.units} units look at ${span(s.looks)}`,
  head: ["axis", "first", "centre", "last", "read of the image"],
  rows: [["rows", s.rows, s.centre[0], s.readRows], ["columns", s.columns, s.centre[1], s.readColumns]]
    .map(([axis, [first, last], centre, read]) => [axis, ...[first, centre, last].map(signed), span(read)]) });
const signed = (value) => String(value).replace("-", "−");

// A click on the photograph chooses the unit whose field has its middle nearest.
function wire(drawing, s, { set }) {
  const area = drawing.querySelector("[data-scene]"), room = roomFor(s);
  area.addEventListener("click", (event) => {
    const box = area.firstElementChild.getBoundingClientRect(), pixel = (at) => at * (IMAGE + 2 * room) - room;
    const unit = (at) => clamp(Math.round((pixel(at) - s.reach[0] - s.size / 2) / s.jump), 0, s.units - 1);
    set({ row: unit((event.clientY - box.top) / box.height), column: unit((event.clientX - box.left) / box.width) });
  });
}

export default figure({ state, draw, numbers, wire });
