// Numbers and heat maps. The page's other scripts follow in the same block.

const { steps, arrays, codes, ...data } = JSON.parse(document.getElementById("data").textContent);
const id = (name) => document.getElementById(name);
const LETTERS = "11px ui-monospace, 'DejaVu Sans Mono', monospace"; // of the numbers in cells
const LETTER = 6.8; // pixels: how wide one is
const SHARP = Math.ceil(devicePixelRatio); // pixels of the screen in one of the page
const STRANGE = [176, 0, 176]; // not finite

/** Make an element: attributes, then children, texts or elements. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const shapeText = (shape) => (shape.length ? shape.join("×") : "scalar");
const numberText = (value) => (Object.is(value, -0) ? "-0" : String(value));
const short = (text) => {
  const value = Number(text);
  return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : text;
};

/** A number in at most seven characters. */
function brief(value) {
  if (typeof value !== "number" || Object.is(value, -0)) return numberText(value);
  const plain = [4, 3, 2].map((digits) => String(Number(value.toPrecision(digits))));
  return plain.find((text) => text.length <= 7) ?? value.toExponential(1);
}

// ---- colours -------------------------------------------------------------------------------

function palette() {
  const style = getComputedStyle(document.documentElement);
  const rgb = (name) => style.getPropertyValue(name).split(",").map(Number);
  const [zero, negative, positive, apart] = ["--zero", "--negative", "--positive", "--apart"].map(rgb);
  return { zero, negative, positive, apart, ink: style.getPropertyValue("--ink") };
}

/** The largest magnitude in some arrays. */
const largest = (...found) =>
  found.flatMap(({ cells }) => cells).reduce((m, value) => (typeof value === "number" ? Math.max(m, Math.abs(value)) : m), 0);

const between = (start, end, share) => start.map((from, k) => Math.round(from + (end[k] - from) * share));

/** Colours from the largest negative magnitude over zero to the largest positive. */
const overZero = (most) => (value, { zero, negative, positive }) => {
  if (typeof value === "boolean") return value ? positive : zero;
  if (typeof value === "string") return STRANGE;
  return between(zero, value < 0 ? negative : positive, Math.min(1, Math.abs(value) / (most || 1)));
};

/** Draw an array on a canvas, a rectangle a cell, with its number if there are `texts`, and frame the selected one. */
function paint(canvas, array, wide, high, texts, selected, colour) {
  const [rows, columns] = array.size;
  const colours = palette();
  const context = canvas.getContext("2d");
  context.setTransform(SHARP, 0, 0, SHARP, 0, 0);
  [context.font, context.textAlign, context.textBaseline] = [LETTERS, "center", "middle"];
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const [red, green, blue] = colour(array.cells[i * columns + j], colours);
      context.fillStyle = `rgb(${[red, green, blue]})`;
      context.fillRect(j * wide, i * high, wide, high);
      if (!texts) continue;
      context.fillStyle = 0.3 * red + 0.59 * green + 0.11 * blue > 130 ? "black" : "white";
      context.fillText(texts[i * columns + j], (j + 0.5) * wide, (i + 0.5) * high);
    }
  }
  if (selected !== null) {
    const [i, j] = selected;
    context.strokeStyle = colours.ink;
    context.lineWidth = 2;
    const [w, h] = [Math.max(wide, 4), Math.max(high, 4)];
    context.strokeRect(j * wide - (w - wide) / 2, i * high - (h - high) / 2, w, h);
  }
}

// ---- tensors -------------------------------------------------------------------------------

/** Say where a cell is: an index, or the indices that a block spans. */
function placeText(array, i, j) {
  if (array.rows.length) {
    const part = (starts, k) =>
      starts[k + 1] - starts[k] > 1 ? `${starts[k]}–${starts[k + 1] - 1}` : `${starts[k]}`;
    const rows = array.shape.length > 1 ? `${part(array.rows, i)}, ` : "";
    return `[${rows}${part(array.columns, j)}]`;
  }
  const index = [j];
  for (let axis = array.shape.length - 2, rest = i; axis >= 0; axis--) {
    index.unshift(rest % array.shape[axis]);
    rest = Math.floor(rest / array.shape[axis]);
  }
  return `[${index.join(", ")}]`;
}

/** Say where a cell is and what its value is. */
function cellText(array, i, j) {
  const value = numberText(array.cells[i * array.size[1] + j]);
  return `${placeText(array, i, j)} ${array.rows.length ? "mean" : "="} ${value}`;
}

function rangeText(array) {
  if (!array.cells.length) return "empty";
  const range = array.low === "" ? "not finite" : `${short(array.low)} … ${short(array.high)}`;
  const strange = array.strange && array.low !== "" ? `, ${array.strange} not finite` : "";
  const means = array.rows.length ? " (block means)" : "";
  return `${range}${strange}\nnorm ${array.norm}${means}`;
}

const HIGH = 18; // pixels of a cell with a number in it

/** The numbers of an array's cells and how wide they are, where there is room to write them. */
function written(array, room) {
  const [rows, columns] = array.size;
  const [across, down] = room.written;
  if (array.rows.length || rows * HIGH > down || columns * 20 > across) return null;
  const texts = array.cells.map(brief);
  texts.wide = Math.ceil(8 + LETTER * Math.max(...texts.map((text) => text.length)));
  return columns * texts.wide <= across ? texts : null;
}

/** Make a heat map whose cells can be asked: `chosen` is called with [row, column], or null. */
function heatMap(array, label, room, chosen, colour = overZero(largest(array))) {
  const [rows, columns] = array.size;
  const fit = (cells, space, most) => Math.max(1, Math.min(most, Math.floor(space / cells)));
  const texts = written(array, room);
  const wide = texts ? texts.wide : columns === 1 ? room.cell : fit(columns, room.wide, room.cell);
  const high = texts ? HIGH : fit(rows, room.high, room.cell);
  const canvas = element("canvas", {
    width: wide * columns * SHARP, height: high * rows * SHARP, tabindex: 0, role: "img",
    "aria-label": `${label}. Arrow keys read cells.`,
  });
  canvas.style.width = `${wide * columns}px`;
  canvas.style.height = `${high * rows}px`; // only the width gives way where there is little room
  let selected = null;
  canvas.choose = (cell) => {
    selected = cell;
    paint(canvas, array, wide, high, texts, selected, colour);
  };
  canvas.repaint = () => canvas.choose(selected);
  const within = (value, count) => Math.max(0, Math.min(count - 1, value));
  canvas.addEventListener("mousemove", (event) => {
    const box = canvas.getBoundingClientRect();
    chosen([
      within(Math.floor(((event.clientY - box.top) / box.height) * rows), rows),
      within(Math.floor(((event.clientX - box.left) / box.width) * columns), columns),
    ]);
  });
  canvas.addEventListener("mouseleave", () => chosen(null));
  canvas.addEventListener("focus", () => {
    if (canvas.matches(":focus-visible")) chosen(selected || [0, 0]);
  });
  canvas.addEventListener("blur", () => chosen(null));
  const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  canvas.addEventListener("keydown", (event) => {
    if (event.key in moves) {
      const [down, right] = moves[event.key];
      const [i, j] = selected || [0, 0];
      chosen([within(i + down, rows), within(j + right, columns)]);
      event.preventDefault();
      event.stopPropagation();
    } else if (event.key === "Escape") {
      id("step").focus();
    }
  });
  return canvas;
}

/** Make what shows an array: a number, or a heat map with what is said of it. */
function tensor(array, label, room) {
  if (array.cells.length === 1) {
    return [element("div", { class: "single" }, numberText(array.cells[0]))];
  }
  const said = element("div", { class: "range", "aria-live": "polite" });
  const chosen = (cell) => {
    canvas.choose(cell);
    said.classList.toggle("cell", cell !== null);
    said.textContent = cell === null ? rangeText(array) : cellText(array, ...cell);
  };
  const spoken = `${label}, ${shapeText(array.shape)}: ${rangeText(array).replace("\n", ", ")}`;
  const canvas = heatMap(array, spoken, room, chosen);
  chosen(null);
  return [canvas, said];
}

/** What makes a figure, by its kind. */
const FIGURES = {
  tensor({ name, note, array, text }) {
    const found = array === null ? null : arrays[array];
    const shape = found ? ` ${shapeText(found.shape)}` : "";
    const caption = element("figcaption", {}, element("b", {}, name), shape);
    if (note && note !== name) caption.append(" ", element("span", {}, note));
    const body = found
      ? tensor(found, name, { wide: 200, high: 200, cell: 13, written: [330, 290] })
      : [element("div", { class: "single" }, text)];
    return element("figure", { "data-name": name }, caption, ...body);
  },
};
