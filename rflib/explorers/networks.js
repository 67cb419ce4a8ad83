// Networks in practice: a unit's field on the photograph, hatched outside, and the fields of all stages as bars.

const IMAGE = 224;
const length = ([first, last]) => last - first + 1;
const over = ([first, last]) => [Math.max(0, -first), Math.max(0, last - IMAGE + 1)];
const field = (size, jump, first, unit) => [first + unit * jump, first + unit * jump + size - 1];

function stageOf([label, , size, jump, first, units, , whole]) {
  let free = 0;
  for (let unit = 0; unit < units; unit++) free += over(field(size, jump, first, unit)).every((n) => n === 0);
  return { label, size, jump, units, free, whole: whole === 1 };
}

export function state({ network, stage, row, column, data }) {
  const { title, code, through, stages } = data.networks[network];
  stage = Math.min(stage, stages.length);
  const [label, path_, size, jump, first, units, end, whole] = stages[stage - 1];
  [row, column] = [Math.min(row, units - 1), Math.min(column, units - 1)];
  const [rows, columns] = [row, column].map((unit) => field(size, jump, first, unit));
  const [insideRows, insideColumns] = [rows, columns].map(([a, b]) => [Math.max(0, a), Math.min(end, b)]);
  const area = length(insideRows) * length(insideColumns), beyond = [...over(rows), ...over(columns)];
  const within = (size - beyond[0] - beyond[1]) * (size - beyond[2] - beyond[3]);
  const now = { network, title, stage, label, row, column, stages: stages.map(stageOf),
    reach: [first, field(size, jump, first, units - 1)[1]], rows, columns, insideRows, insideColumns,
    over: beyond, share: tenths(100 * area, IMAGE ** 2),
    beyond: tenths(100 * (size ** 2 - within), size ** 2), through: whole ? through : "", code: `${code}["${path_}"]`,
    bounds: { stage: stages.length, row: units - 1, column: units - 1 } };
  const found = { sentence: words(now, size), ...now };
  return Object.defineProperty(found, "photograph", { value: data.photograph }); // for the drawing; not one of the numbers
}

const listed = (all) => (all.length > 1 ? `${all.slice(0, -1).join(", ")} and ${all.at(-1)}` : all[0]);

function words({ row, column, label, share, beyond, over, through }, size) {
  const part = partOfImage(share);
  const sides = ["above", "below", "on the left", "on the right"].map((side, i) => [over[i], side]).filter(([n]) => n)
    .map(([n, side], i) => `${i ? num(n) : count(n, "pixel")} ${side}`);
  return [
    `Unit ${row}, ${column} of ${label} has a field of ${num(size)}×${num(size)} pixels.`,
    sides.length ? `It covers ${part} and hangs over it, by ${listed(sides)}: ${beyond} % of it is not in the image.`
      : `It covers ${part} and hangs over no border.`,
    through ? `Strictly it depends on every pixel, through ${through}.` : null,
  ].filter(Boolean).join(" ");
}

const TOP = 42; // above the bars: their title, the image's label
const here = ({ stages, stage }) => stages[stage - 1];

function draw(s, width) {
  const wide = width >= 620, side = wide ? Math.min(330, Math.round(width * 0.46)) : Math.min(width, 360);
  const barsWidth = wide ? width - side - 30 : width, barsHeight = TOP + 30 * s.stages.length + (anyWhole(s) ? 22 : 4);
  const at = wide ? [side + 30, 0] : [0, side + 40], notes = caption(s);
  const low = wide ? Math.max(side + 8 + 17 * notes.length, barsHeight) : at[1] + barsHeight + 17 * (notes.length - 1);
  const shift = wide ? 0 : 17 * (notes.length - 1);
  return canvas(width, low + 4, s.sentence, scene(s, side),
    notes.map((line, i) => text(0, side + 17 + 17 * i, line, { size: 12, fill: color.muted })),
    group({ transform: `translate(${at[0]} ${at[1] + shift})` }, bars(s, barsWidth)));
}

const caption = (s) => [
  "box: the field; hatched: not in the image" + (dotted(s) ? "; dots: where units look" : ""),
  cut(s) ? "arrows: it goes on, so many pixels in all" : null,
  rim(s) ? `hatched within: a rim of ${count(rim(s), "pixel")} that no unit reads` : null,
  s.through ? "dashed frame: what it depends on strictly" : null,
].filter(Boolean);

// The photograph in a view with room for every unit's field, up to a whole image on each side, so that it
// stays where it is while the box moves. Where the box goes on, an arrow and a number say so.
const roomFor = ({ reach: [first, last] }) =>
  [8, 24, 48, 80, 112, 144, 184].find((room) => Math.max(-first, last - IMAGE + 1) <= room - 2) ?? IMAGE;
const cut = (s) => s.over.some((n) => n > roomFor(s));
// Pixels of the image that lie in the field and yet are not read, since windows do not fit: at its end.
const rim = (s) => Math.max(...[[s.rows, s.insideRows], [s.columns, s.insideColumns]]
  .map(([field_, read]) => Math.min(field_[1], IMAGE - 1) - read[1]));
const dotted = (s) => here(s).units <= 14;

function scene(s, side) {
  const room = roomFor(s), low = -room, high = IMAGE + room, scale = side / (high - low);
  const P = (edge) => (clamp(edge, low, high) - low) * scale, A = P(0), B = P(IMAGE);
  const [x0, y0, x1, y1] = [P(s.columns[0]), P(s.rows[0]), P(s.columns[1] + 1), P(s.rows[1] + 1)];
  const [ix0, iy0, ix1, iy1] = [P(s.insideColumns[0]), P(s.insideRows[0]), P(s.insideColumns[1] + 1), P(s.insideRows[1] + 1)];
  const hatched = [[x0, y0, x1, iy0], [x0, iy1, x1, y1], [x0, iy0, ix0, iy1], [ix1, iy0, x1, iy1]];
  // A side of the box that the view cuts off is not drawn.
  const edges = [[s.columns[0] >= low, x0, y0, x0, y1], [s.columns[1] < high, x1, y0, x1, y1],
    [s.rows[0] >= low, x0, y0, x1, y0], [s.rows[1] < high, x0, y1, x1, y1]].filter(([shown]) => shown);
  const frame = edges.map(([, ...ends]) => `M${ends.slice(0, 2).map(px)}L${ends.slice(2).map(px)}`).join("");
  const size = here(s).size, dots = [], middle = (unit) => P(s.reach[0] + size / 2 + unit * here(s).jump);
  for (let i = 0; dotted(s) && i < here(s).units ** 2; i++) {
    const row = Math.floor(i / here(s).units), column = i % here(s).units, now = row === s.row && column === s.column;
    dots.push(svg("circle", { cx: px(middle(column)), cy: px(middle(row)), r: now ? 4.5 : 2, fill: now ? "#0072b2" : "#ffffff",
      stroke: now ? "#ffffff" : "#1c2128", "stroke-width": now ? 2 : 1 }));
  }
  return group({ "data-scene": side, cursor: "crosshair" }, rect(0, 0, side, side, { fill: color.cell }),
    svg("image", { href: `data:image/jpeg;base64,${s.photograph}`, x: px(A), y: px(A), width: px(B - A), height: px(B - A) }),
    path(hatched.map((part) => hatch(...part)).join(""), { stroke: color.warm, "stroke-width": 1.2 }),
    s.through ? [rect(A, A, B - A, B - A, { fill: "none", stroke: "#ffffff", "stroke-width": 5 }),
      rect(A, A, B - A, B - A, { fill: "none", stroke: "#b84a00", "stroke-width": 2.5, "stroke-dasharray": "7 5" })] : null,
    dots, path(frame, { stroke: "#ffffff", "stroke-width": 5, "stroke-linecap": "square" }),
    path(frame, { stroke: "#0072b2", "stroke-width": 2.5, "stroke-linecap": "square" }), further(s, side, room));
}

// Arrows to the sides on which the view cuts the box, each with the pixels that are beyond the image.
function further(s, side, room) {
  const [above, below, left, right] = s.over, half = side / 2, out = [];
  const mark = (n, ends, x, y, anchor) => n > room && out.push(
    rect(anchor === "end" ? x - textWidth(num(n), 12) - 4 : anchor === "start" ? x - 4 : x - textWidth(num(n), 12) / 2 - 4, y - 13,
      textWidth(num(n), 12) + 8, 18, { fill: color.paper, opacity: 0.9 }),
    arrow(...ends, { stroke: color.accent, "stroke-width": 2.5, head: 9 }),
    text(x, y, num(n), { size: 12, weight: 700, anchor, fill: color.accent }));
  mark(above, [half, 26, half, 3], half + 10, 18, "start");
  mark(below, [half, side - 26, half, side - 3], half + 10, side - 8, "start");
  mark(left, [26, half, 3, half], 8, half - 10, "start");
  mark(right, [side - 26, half, side - 3, half], side - 8, half - 10, "end");
  return out;
}

const anyWhole = ({ stages }) => stages.some(({ whole }) => whole);

// One bar per stage, in true proportion, and the image as a line through all of them.
function bars(s, width) {
  const left = 74, right = width - (anyWhole(s) ? 88 : 48), step = 30, top = TOP, bottom = top + step * s.stages.length;
  const most = Math.max(IMAGE * 1.25, ...s.stages.map(({ size }) => size)), X = (size) => left + ((right - left) * size) / most;
  const out = [text(0, 12, `fields of ${s.title}, pixels a side`, { size: 12, fill: color.muted })];
  out.push(rect(0, top + step * (s.stage - 1), width, step - 2, { fill: color.soft, opacity: 0.7, rx: 3 }),
    line(X(IMAGE), top - 6, X(IMAGE), bottom, { stroke: color.warm, "stroke-width": 2, "stroke-dasharray": "6 4" }),
    text(X(IMAGE), top - 10, "image: 224", { size: 12, fill: color.warm, anchor: X(IMAGE) < 130 ? "start" : "middle" }));
  s.stages.forEach(({ label, size, whole }, i) => {
    const y = top + step * i, now = i === s.stage - 1, edge = X(Math.min(size, IMAGE)), end = X(size);
    out.push(group({ "data-stage": i + 1, cursor: "pointer" }, rect(0, y, width, step - 2, { fill: color.paper, "fill-opacity": 0 }),
      text(4, y + 19, label, { size: 12, weight: now ? 700 : null }),
      rect(left, y + 6, edge - left, step - 14, { fill: now ? color.accent : color.muted }),
      size > IMAGE ? [path(hatch(edge, y + 6, end, y + step - 8), { stroke: color.warm, "stroke-width": 1.2 }),
        rect(edge, y + 6, end - edge, step - 14, { fill: "none", stroke: now ? color.accent : color.muted, "stroke-width": 1.5 })] : null,
      text(end < X(IMAGE) && X(IMAGE) < end + 12 + textWidth(num(size)) ? X(IMAGE) + 5 : end + 5, y + 19, num(size), { weight: now ? 700 : 400, fill: now ? color.accent : color.ink,
        stroke: color.paper, "stroke-width": 3, "paint-order": "stroke" }),
      whole ? text(width, y + 19, "+ all", { size: 12, anchor: "end", weight: 700, fill: color.warm,
        stroke: color.paper, "stroke-width": 3, "paint-order": "stroke" }) : null));
  });
  if (anyWhole(s)) out.push(text(0, bottom + 14, "+ all: strictly, on all of the image", { size: 12, fill: color.muted }));
  return out;
}

function numbers(s) {
  const rows = s.stages.map(({ label, size, jump, units, free, whole }) =>
    [label, size, jump, `${units}×${units}`, `${num(free ** 2)} of ${num(units ** 2)}`, whole ? "all" : "–"]);
  const table_ = anyWhole(s) ? rows : rows.map((row) => row.slice(0, -1));
  const head = ["stage", "r", "j", "units", "wholly inside", "strictly"].slice(0, table_[0].length);
  return [
    table({ caption: `${s.title} on 224×224 pixels`, head, rows: table_, now: s.stage - 1 }),
    h("p", { class: "rf-note" }, `Rows ${span(s.rows)}, columns ${span(s.columns)}. Read of the image: rows ${span(s.insideRows)}, columns ${span(s.insideColumns)}.`),
    h("p", { class: "rf-note" }, "In Python: ", h("code", { style: "overflow-wrap:anywhere" }, s.code)),
  ];
}
const span = (ends) => ends.join(" to ").replaceAll("-", "−");

// A click on the photograph chooses the unit whose field has its middle nearest, one on a bar its stage.
function wire(drawing, s, { set }) {
  const area = drawing.querySelector("[data-scene]"), room = roomFor(s), { size, jump, units } = here(s);
  area.addEventListener("click", (event) => {
    const box = area.firstElementChild.getBoundingClientRect(), pixel = (at) => at * (IMAGE + 2 * room) - room;
    const unit = (at) => clamp(Math.round((pixel(at) - s.reach[0] - size / 2) / jump), 0, units - 1);
    set({ row: unit((event.clientY - box.top) / box.height), column: unit((event.clientX - box.left) / box.width) });
  });
  for (const bar of drawing.querySelectorAll("[data-stage]")) {
    bar.addEventListener("click", () => set({ stage: Number(bar.dataset.stage) }));
  }
}

export default figure({ state, draw, numbers, wire });
