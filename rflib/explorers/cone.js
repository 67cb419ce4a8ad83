// The cone. Rows of cells, the input at the bottom; see _cone.py for what the state holds.
const CELLS = 41;
const union = (lists) => [...new Set(lists.flat())].sort((a, b) => a - b);

export function state({ layers, kernel, stride, dilation, unit }) {
  const reach = dilation * (kernel - 1);
  const rows = [{ name: "input", cells: 0, size: 1, jump: 1, centre2: 0, lit: [] }];
  for (let index = 1; index <= layers; index++) {
    const { size, jump, centre2 } = rows[index - 1];
    rows.push({ name: `layer ${index}`, cells: 0, size: size + reach * jump, jump: jump * stride,
      centre2: centre2 + reach * jump, lit: [] });
  }
  const { size, jump } = rows[layers];
  const units = Math.max(3, Math.floor((CELLS - size) / jump) + 1);
  unit = Math.min(unit, units - 1);
  rows[layers].cells = units;
  for (let index = layers; index > 0; index--) rows[index - 1].cells = stride * (rows[index].cells - 1) + reach + 1;
  const s = { kernel, stride, dilation, unit, bounds: { unit: units - 1 }, rows, sentence: "" };
  lights(s, layers, unit).forEach((cells, index) => (rows[index].lit = cells));
  s.sentence = `Unit ${unit} of layer ${layers} reads ${inputs(rows[0].lit)}: receptive field ${num(size)}` +
    `${rows[0].lit.length < size ? " with holes" : ""}, jump ${num(jump)}.`;
  return s;
}

// The cells that belong to cell `index` of `row`, one list a row: below it those it reads, above it those it reaches.
export function lights({ kernel, stride, dilation, rows }, row, index) {
  const taps = Array.from({ length: kernel }, (_, tap) => tap * dilation), cells = rows.map(() => []);
  cells[row] = [index];
  for (let at = row; at > 0; at--) cells[at - 1] = union(cells[at].map((i) => taps.map((tap) => stride * i + tap)));
  for (let at = row; at < rows.length - 1; at++) {
    const hits = cells[at].flatMap((i) => taps.map((tap) => (i - tap) / stride));
    cells[at + 1] = union(hits.filter((i) => Number.isInteger(i) && i >= 0 && i < rows[at + 1].cells));
  }
  return cells;
}

const inputs = (cells) => {
  const first = cells[0], last = cells.at(-1), size = last - first + 1;
  if (size === 1) return `input ${num(first)} alone`;
  if (size === cells.length) return `inputs ${num(first)} to ${num(last)}`;
  return `${num(cells.length)} of the ${num(size)} inputs ${num(first)} to ${num(last)}`;
};

// What a hovered or focused cell says.
const words = (s, row, index) => {
  const cells = lights(s, row, index), top = s.rows.length - 1, up = cells[top];
  const name = row ? `Unit ${num(index)} of layer ${row}` : `Input ${num(index)}`;
  const reads = row ? ` reads ${inputs(cells[0])}` : "";
  if (row === top) return `${name}${reads}.`;
  const run = up.length && up.at(-1) - up[0] + 1 === up.length;
  const units = up.length === 0 ? `no unit of layer ${top}: it is skipped on the way`
    : up.length === 1 ? `unit ${up[0]} of layer ${top}`
    : run ? `units ${up[0]} to ${up.at(-1)} of layer ${top}`
    : `${up.length} units of layer ${top} between ${up[0]} and ${up.at(-1)}`;
  return `${name}${reads}${row ? " and" : ""} reaches ${units}.`;
};

// Where things stand, for one width. A pixel of the input is `pitch` wide; rows stand on their fields' centres.
const place = (s, width) => {
  const wide = width >= 600, left = wide ? 62 : 1, right = wide ? 96 : 1, gap = wide ? 54 : 62;
  const pitch = (width - left - right) / s.rows[0].cells, height = clamp(pitch * 0.84, 13, 20), top = wide ? 6 : 22;
  const last = s.rows.length - 1;
  return { wide, left, right, pitch, height, width,
    y: (row) => top + (last - row) * gap,
    x: (row, index) => left + (s.rows[row].centre2 / 2 + index * s.rows[row].jump + 0.5) * pitch,
    step: (row) => s.rows[row].jump * pitch,
    cell: (row) => Math.min(s.rows[row].jump * pitch * 0.84, Math.max(pitch * 0.84, height)) };
};

// Neighbouring indices as runs [first, last]: a row too fine for cells is drawn run by run.
const runs = (cells) => cells.reduce((all, i) => {
  if (all.length && all.at(-1)[1] === i - 1) all.at(-1)[1] = i; else all.push([i, i]);
  return all;
}, []);

const drawRow = (s, at, row, styleOf, lit) => {
  const y = at.y(row), size = at.cell(row), step = at.step(row);
  if (step >= 4) {
    return Array.from({ length: s.rows[row].cells }, (_, i) =>
      rect(at.x(row, i) - size / 2, y, size, at.height, { rx: px(Math.min(3, size / 4)), ...styleOf(row, i) }));
  }
  const bar = (first, last, style) => rect(at.x(row, first) - step / 2, y, Math.max(0.5, (last - first + 1) * step), at.height, style);
  return [bar(0, s.rows[row].cells - 1, { fill: color.cell, stroke: color.line, "stroke-width": 0.75 }),
    ...lit.map(([cells, style]) => runs(cells[row]).map(([first, last]) => bar(first, last, { ...style, "stroke-width": 0 })))];
};

// The connections of one step, from `row` down to the row below it: a line each, or where they run together one area.
const drawStep = (s, at, row, upper, lower, style) => {
  const inLower = new Set(lower), y1 = at.y(row) + at.height, y2 = at.y(row - 1), lines = [];
  const reach = s.dilation * (s.kernel - 1);
  if (upper.length * s.kernel > 150) {
    const [a, b] = [upper[0], upper.at(-1)], [c, d] = [lower[0], lower.at(-1)];
    return [path(`M${px(at.x(row, a))} ${y1}L${px(at.x(row, b))} ${y1}L${px(at.x(row - 1, d))} ${y2}L${px(at.x(row - 1, c))} ${y2}Z`,
      { fill: style.stroke, stroke: "none", opacity: 0.16 })];
  }
  for (const i of upper) {
    for (let tap = 0; tap <= reach; tap += s.dilation) {
      const below = s.stride * i + tap;
      if (inLower.has(below)) lines.push(`M${px(at.x(row, i))} ${px(y1)}L${px(at.x(row - 1, below))} ${px(y2)}`);
    }
  }
  return [path(lines.join(""), style)];
};

const LIT = { fill: color.accent, stroke: color.accent };
const REACHED = { fill: color.warmSoft, stroke: color.warm, "stroke-width": 1.75 };
const DIM = { fill: color.soft, stroke: color.soft };
const DARK = { fill: color.cell, stroke: color.line, "stroke-width": 0.75 };

// Everything that changes when a cell is hovered or focused: `spot` is { row, index, ring } or null.
const scene = (s, at, spot) => {
  const top = s.rows.length - 1, chosen = s.rows.map((row) => row.lit);
  const cells = spot ? lights(s, spot.row, spot.index) : chosen;
  const sets = cells.map((list) => new Set(list)), old = chosen.map((list) => new Set(list));
  const low = spot ? spot.row : top;
  const styleOf = (row, i) => (sets[row].has(i) ? (row <= low ? LIT : REACHED) : spot && old[row].has(i) ? DIM : DARK);
  const steps = s.rows.slice(1).map((_, below) => drawStep(s, at, below + 1, cells[below + 1], cells[below],
    below + 1 <= low ? { stroke: color.accent, opacity: below + 1 === low ? 0.95 : 0.4, "stroke-width": below + 1 === low ? 1.5 : 1 }
      : { stroke: color.warm, opacity: 0.9, "stroke-width": 1.25, "stroke-dasharray": "3 2.5" }));
  const drawn = s.rows.map((_, row) => drawRow(s, at, row, styleOf,
    [...(spot ? [[chosen, DIM]] : []), [cells, row <= low ? LIT : REACHED]]));
  const mark = spot ?? { row: top, index: s.unit }, size = Math.max(at.cell(mark.row), 2);
  const ring = rect(at.x(mark.row, mark.index) - size / 2 - 3, at.y(mark.row) - 3, size + 6, at.height + 6,
    { rx: 5, fill: "none", stroke: spot?.ring ? color.warm : color.ink, "stroke-width": spot?.ring ? 2.5 : 1.5 });
  return group({ class: "rf-scene" }, steps, drawn, ring, s.rows.map((_, row) => rowEnd(s, at, row, cells[row], row > low)),
    fieldMark(s, at, cells[0], low));
};

const rowEnd = (s, at, row, cells, above) => {
  const needs = `${above ? "reaches" : "needs"} ${num(cells.length)}`, jump = `jump ${num(s.rows[row].jump)}`, y = at.y(row);
  const name = { weight: 600, fill: color.muted };
  if (!at.wide) {
    // Lines may pass behind the words: a rim in the page's colour keeps them legible.
    const rim = { stroke: color.paper, "stroke-width": 4, "stroke-linejoin": "round", "paint-order": "stroke" };
    return [text(0, y - 7, s.rows[row].name, { ...name, ...rim }), text(at.width, y - 7, `${needs} · ${jump}`, { anchor: "end", ...rim })];
  }
  const middle = y + at.height / 2, x = at.width - at.right + 14;
  return [text(0, middle + 4.5, s.rows[row].name, name),
    text(x, middle - 2, needs, { weight: 600 }), text(x, middle + 14, jump, { fill: color.muted })];
};

// Below the input: a bracket over what is read, and how far the next unit's bracket is shifted.
const fieldMark = (s, at, reads, row) => {
  if (row === 0) return [];
  const y = at.y(0) + at.height + 30, half = at.pitch / 2, size = reads.at(-1) - reads[0] + 1, jump = s.rows[row].jump;
  const from = at.x(0, reads[0]) - half, to = at.x(0, reads.at(-1)) + half, middle = (from + to) / 2;
  const field = `receptive field ${num(size)}${reads.length < size ? `, ${num(reads.length)} of them read` : ""}`;
  const room = textWidth(field) / 2, centre = clamp(middle, room, at.width - room);
  const right = to + jump * at.pitch <= at.width - at.right + 1, start = right ? from : to;
  const end = start + (right ? 1 : -1) * jump * at.pitch, low = y + 33;
  const name = `jump ${num(jump)}${at.wide ? ` to the ${right ? "next" : "previous"} unit's field` : ""}`;
  const after = right ? end + 7 + textWidth(name) < at.width : end - 7 - textWidth(name) < 0;
  return [path(`M${px(from)} ${y - 6}V${y}H${px(to)}V${y - 6}`, { stroke: color.accent, "stroke-width": 2 }),
    text(centre, y + 17, field, { anchor: "middle", weight: 600, fill: color.accent }),
    path(`M${px(start)} ${Math.abs(start - centre) < room ? y + 22 : y + 4}V${low + 5}`, { stroke: color.muted, "stroke-dasharray": "2 2" }),
    arrow(start, low, end, low, { head: 6 }),
    text(after ? Math.max(start, end) + 7 : Math.min(start, end) - 7, low + 4.5, name, { anchor: after ? "start" : "end", fill: color.muted })];
};

const axis = (s, at) => {
  const n = s.rows[0].cells, y = at.y(0) + at.height + 15;
  const every = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((e) => e * at.pitch >= 34) ?? 2000;
  return Array.from({ length: Math.ceil(n / every) }, (_, i) => i * every).map((i) =>
    text(Math.min(at.x(0, i), at.width - textWidth(num(i), 12) / 2), y, num(i), { size: 12, anchor: "middle", fill: color.muted }));
};

function draw(s, width) {
  const at = place(s, width), bottom = at.y(0) + at.height + 72;
  return canvas(width, bottom, `A network of ${count(s.rows.length - 1, "layer")} as rows of cells, the input at the bottom. ${s.sentence}`,
    axis(s, at), scene(s, at, null));
}

// Pointer, touch and keys choose a cell. The picture is one stop of the tab key; arrow keys walk over its cells.
const wire = (drawing, s, { say, set }) => {
  const at = place(s, Number(drawing.getAttribute("width"))), top = s.rows.length - 1;
  const label = `${drawing.getAttribute("aria-label")} Arrow keys choose a cell; Enter chooses a unit of the last layer.`;
  fill(drawing, { role: "application", tabindex: 0, "aria-roledescription": "network of cells", "aria-label": label }, []);
  let spot = null;
  const light = (next) => {
    if (next?.row === spot?.row && next?.index === spot?.index && next?.ring === spot?.ring) return;
    spot = next;
    drawing.querySelector(".rf-scene").replaceWith(scene(s, at, spot));
    say(spot ? words(s, spot.row, spot.index) : null);
  };
  const under = ({ clientX, clientY }) => {
    const box = drawing.getBoundingClientRect(), scale = at.width / box.width;
    const x = (clientX - box.left) * scale, y = (clientY - box.top) * scale;
    const row = s.rows.findIndex((_, r) => y >= at.y(r) - 5 && y <= at.y(r) + at.height + 5);
    if (row < 0) return null;
    const index = Math.round((x - at.x(row, 0)) / at.step(row)), near = Math.abs(x - at.x(row, index)) <= at.cell(row) / 2 + 3;
    return near && index >= 0 && index < s.rows[row].cells ? { row, index } : null;
  };
  const choose = (cell) => { if (cell?.row === top && cell.index !== s.unit) set({ unit: cell.index }); };
  drawing.addEventListener("pointermove", (event) => { if (event.pointerType !== "touch") light(under(event)); });
  drawing.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") light(null); });
  drawing.addEventListener("click", (event) => { const cell = under(event); light(cell); choose(cell); });
  const walk = (row, index) => light({ row, index, ring: true });
  const nearest = (row) => {
    const x = at.x(spot.row, spot.index);
    return clamp(Math.round((x - at.x(row, 0)) / at.step(row)), 0, s.rows[row].cells - 1);
  };
  const keys = {
    ArrowLeft: () => walk(spot.row, Math.max(0, spot.index - 1)),
    ArrowRight: () => walk(spot.row, Math.min(s.rows[spot.row].cells - 1, spot.index + 1)),
    ArrowUp: () => spot.row < top && walk(spot.row + 1, nearest(spot.row + 1)),
    ArrowDown: () => spot.row > 0 && walk(spot.row - 1, nearest(spot.row - 1)),
    Home: () => walk(spot.row, 0),
    End: () => walk(spot.row, s.rows[spot.row].cells - 1),
    Enter: () => choose(spot),
    " ": () => choose(spot),
    Escape: () => light(null),
  };
  drawing.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (!spot) walk(top, s.unit);
    keys[event.key]();
  });
  drawing.addEventListener("focus", () => { if (drawing.matches(":focus-visible")) walk(top, s.unit); });
  drawing.addEventListener("blur", () => light(null));
};

const numbers = (s) => [s.kernel > 1 ? null : h("p", { class: "rf-note" }, "A kernel of 1 has no gaps: the dilation changes nothing."), table({
  caption: "Row by row, from the last layer down to the input",
  head: ["row", "field of one cell", "jump", "cells needed", "from", "to"],
  rows: [...s.rows].reverse().map((row) => [row.name, row.size, row.jump, row.lit.length, row.lit[0], row.lit.at(-1)]),
})];

export default figure({ state, draw, numbers, wire });
