// The branches. The join at the top, A and B below it, the input at the bottom; see _branches.py for the state.
const INPUT = 24;
const signed = (n) => (n < 0 ? `−${-n}` : `${n}`);
const span = (first, last) => (first === last ? signed(first) : `${signed(first)} to ${signed(last)}`);
const subject = (branch) => (branch.name === "shortcut" ? "the shortcut" : branch.name);

export function state({ kernel_a, left_a, kernel_b, left_b, stride, unit, shortcut }) {
  const units = Math.ceil(INPUT / stride);
  unit = Math.min(unit, units - 1);
  left_a = Math.min(left_a, kernel_a - 1);
  left_b = Math.min(left_b, kernel_b - 1);
  const branch = (name, kernel, left) =>
    ({ name, kernel, first: stride * unit - left, last: stride * unit - left + kernel - 1 });
  const branches = [branch("A", kernel_a, left_a), branch("B", kernel_b, left_b)];
  if (shortcut) branches.push(branch("shortcut", 1, 0));
  const first = Math.min(...branches.map((b) => b.first)), last = Math.max(...branches.map((b) => b.last));
  const longest = Math.max(...branches.map((b) => b.last - b.first + 1)), size = last - first + 1;
  const both = `Unit ${unit} reads input${first < last ? "s" : ""} ${span(first, last)}: ` +
    `${branches.map((b) => `${subject(b)} ${span(b.first, b.last)}`).join(", ")}.`;
  const outside = Math.max(0, -first) + Math.max(0, last - INPUT + 1);
  const told = size === longest ? `${both} One of them holds all the others, so the field is its ${size}.`
    : `${both} The longest alone has ${longest}, together they have ${size}.`;
  return { left_a, left_b, unit, bounds: { left_a: kernel_a - 1, left_b: kernel_b - 1, unit: units - 1 },
    units, stride, branches, first, last, size, longest,
    sentence: outside ? `${told} Of these, ${outside} outside of the input.` : told };
}

// A is solid and blue, B is dashed and orange, the shortcut dotted and green: never by colour alone.
const LOOK = {
  A: { stroke: color.accent, soft: color.soft, dash: null },
  B: { stroke: color.warm, soft: color.warmSoft, dash: "5 3" },
  shortcut: { stroke: color.green, soft: color.greenSoft, dash: "1.5 3" },
};
const MARGIN = 6; // positions of padding that there is room for on either side

const place = (s, width) => {
  const wide = width >= 560, left = wide ? 66 : 0, pitch = (width - left) / (INPUT + 2 * MARGIN), cell = Math.min(18, pitch * 0.86);
  const top = wide ? 10 : 24, gap = wide ? 66 : 72;
  return { wide, left, pitch, cell, width,
    x: (i) => left + (MARGIN + i + 0.5) * pitch,
    unit: (u) => left + (MARGIN + u * s.stride + 0.5) * pitch,
    y: { join: top, A: top + gap, B: top + gap, shortcut: top + gap, input: top + 2 * gap + 8 } };
};

const square = (x, y, size, attributes) => rect(x - size / 2, y, size, size, { rx: px(Math.min(3, size / 4)), ...attributes });

// A and B stand side by side on one row, each unit of the map halved: A's half above, B's below.
const maps = (s, at) => Array.from({ length: s.units }, (_, u) => {
  const on = u === s.unit, x = at.unit(u), half = at.cell / 2 - 0.5;
  return [square(x, at.y.join, at.cell, on ? { fill: color.ink } : { fill: color.cell, stroke: color.line, "stroke-width": 0.75 }),
    ...["A", "B"].map((name, i) => rect(x - at.cell / 2, at.y.A + i * (half + 1), at.cell, half,
      on ? { fill: LOOK[name].stroke } : { fill: color.cell, stroke: color.line, "stroke-width": 0.75 }))];
});

const inputRow = (s, at) => Array.from({ length: INPUT + 2 * MARGIN }, (_, n) => {
  const i = n - MARGIN, inside = i >= 0 && i < INPUT, x = at.x(i), y = at.y.input;
  const readers = s.branches.filter((b) => b.first <= i && i <= b.last);
  if (!inside) {
    return readers.length ? square(x, y, at.cell, { fill: "none", stroke: color.muted, "stroke-dasharray": "2 2" }) : null;
  }
  const cells = [square(x, y, at.cell, { fill: color.cell, stroke: color.line, "stroke-width": 0.75 })];
  const height = at.cell / Math.max(1, readers.length);
  readers.forEach((b, k) => cells.push(rect(x - at.cell / 2, y + k * height, at.cell, height, { fill: LOOK[b.name].stroke })));
  return cells;
});

// From the unit of a branch to both ends of what it reads.
const fan = (s, at, b) => {
  const look = LOOK[b.name], from = at.unit(s.unit), y1 = at.y.A + at.cell, y2 = at.y.input, half = at.cell / 2;
  const a = at.x(b.first) - half, c = at.x(b.last) + half;
  return [path(`M${px(from - half)} ${px(y1)}L${px(a)} ${px(y2)}H${px(c)}L${px(from + half)} ${px(y1)}Z`,
    { fill: look.soft, "fill-opacity": 0.45, stroke: look.stroke, "stroke-width": 1.75, "stroke-dasharray": look.dash })];
};

const brackets = (s, at) => {
  const half = at.cell / 2, low = at.y.input + at.cell + 26;
  const one = (name, first, last, k, look, weight) => {
    const y = low + 24 * k, a = at.x(first) - half, b = at.x(last) + half, words = `${name} ${last - first + 1}`;
    const room = textWidth(words) + 8, after = b + room < at.width;
    return [path(`M${px(a)} ${px(y - 6)}V${px(y)}H${px(b)}V${px(y - 6)}`,
      { stroke: look.stroke, "stroke-width": weight ? 3 : 2, "stroke-dasharray": look.dash }),
      text(after ? b + 8 : a - 8, y + 3, words, { anchor: after ? "start" : "end", fill: look.stroke, weight: 600 })];
  };
  return [...s.branches.map((b, k) => one(b.name, b.first, b.last, k, LOOK[b.name], 0)),
    one("together", s.first, s.last, s.branches.length, { stroke: color.ink, dash: null }, 1)];
};

const names = (at) => [["join", "join"], ["A", "A, B"], ["input", "input"]].map(([row, name]) => (at.wide
  ? text(0, at.y[row] + at.cell / 2 + 4.5, name, { weight: 600, fill: color.muted })
  : text(0, at.y[row] - 7, name, { weight: 600, fill: color.muted, stroke: color.paper, "stroke-width": 4, "paint-order": "stroke" })));

const axis = (at) => Array.from({ length: 5 }, (_, n) => n * 5).map((i) =>
  text(at.x(i), at.y.input + at.cell + 14, i, { size: 12, anchor: "middle", fill: color.muted }));

function draw(s, width) {
  const at = place(s, width), x = at.unit(s.unit), height = Math.ceil(at.y.input + at.cell + 18 + 24 * (s.branches.length + 1));
  return canvas(width, height, `Two branches over one row of inputs, joined. ${s.sentence}`,
    [...s.branches].reverse().map((b) => fan(s, at, b)), inputRow(s, at), maps(s, at),
    line(x, at.y.join + at.cell, x, at.y.A, { stroke: color.ink, "stroke-width": 1.75 }), axis(at), brackets(s, at), names(at));
}

const numbers = (s) => [
  h("p", { class: "rf-note" }, "Solid and blue: what A reads. Dashed and orange: what B reads. Dotted and green: the shortcut. " +
    "Cells with a broken rim lie outside of the input, in the padding."),
  table({ caption: `What unit ${s.unit} of the join reads, path by path`, head: ["path", "first", "last", "size", "centre"],
    rows: [...s.branches.map((b) => [b.name, signed(b.first), signed(b.last), b.last - b.first + 1, signed((b.first + b.last) / 2)]),
      ["together", signed(s.first), signed(s.last), s.size, signed((s.first + s.last) / 2)]], now: s.branches.length }),
];

export default figure({ state, draw, numbers });
