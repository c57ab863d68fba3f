
// ---- both engines' tensors -----------------------------------------------------------------

/** Colours of a share of the budget: paler within it, one colour outside; of bits, 1 for apart. */
const ofBudget = (value, { zero, negative, apart }) =>
  value === "inf" || value > 1 ? apart : between(zero, negative, 0.6 * value);
const ofBits = (value, { zero, apart }) => (value ? apart : zero);

/** A number of a dtype as Python's float.hex writes it. */
function hexText(value, dtype) {
  if (typeof value === "string") return value;
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, dtype === "float32" ? Math.fround(value) : value);
  const bits = view.getBigUint64(0);
  const [sign, exponent] = [bits >> 63n ? "-" : "", Number((bits >> 52n) & 0x7ffn)];
  if (value === 0) return `${sign}0x0.0p+0`;
  const fraction = (bits & 0xfffffffffffffn).toString(16).padStart(13, "0");
  const power = exponent ? exponent - 1023 : -1022;
  return `${sign}0x${exponent ? 1 : 0}.${fraction}p${power < 0 ? "" : "+"}${power}`;
}

/** The bits of a number of a dtype, in hexadecimal digits. */
function bitsText(value, dtype) {
  if (value === "nan") return "any NaN"; // all NaNs count as equal
  const number = typeof value === "string" ? Number(value.replace("inf", "Infinity")) : value;
  const view = new DataView(new ArrayBuffer(8));
  if (dtype === "float32") view.setFloat32(0, number);
  else view.setFloat64(0, number);
  const digits = view.getBigUint64(0).toString(16).padStart(16, "0");
  return dtype === "float32" ? digits.slice(0, 8) : digits;
}

/** A number to three digits. */
function few(value) {
  if (typeof value !== "number") return value;
  const size = Math.abs(value);
  return size && (size < 1e-3 || size >= 1e5) ? value.toExponential(2) : String(Number(value.toPrecision(3)));
}

/** The table of one cell: a row for each quantity, a column for each engine. */
function readout(it, judged, chosen) {
  const cell = chosen === null ? it.worst : chosen;
  const at = (k) => arrays[k].cells[cell];
  const row = (name, texts, apart = []) =>
    element("tr", {}, element("th", { scope: "row" }, name),
      ...texts.map((text, k) => element("td", apart[k] ? { class: "apart" } : {}, text)));
  const rows = [row("value", it.values.map((k) => numberText(at(k))))];
  if (it.ulps !== undefined) {
    const { dtype } = arrays[it.values[1]];
    if (judged) rows.push(row("exactly", it.values.map((k) => hexText(at(k), dtype))));
    rows.push(row("bits", it.values.map((k) => bitsText(at(k), dtype)), Array(2).fill(at(it.apart))));
  } else if (judged) {
    const used = it.used.map(at);
    rows.push(row("expected value", it.due.map((k) => numberText(at(k)))));
    rows.push(row("budget", it.allowed.map((k) => few(at(k)))));
    rows.push(row("used", used.map(few), used.map((share) => share === "inf" || share > 1)));
  }
  const places = it.ulps === undefined || !at(it.apart) ? "" : `, ${few(at(it.ulps))} last places`;
  const apart = few(at(it.difference)) + places;
  const difference = row("difference", [apart]);
  difference.lastChild.setAttribute("colspan", "2");
  rows.push(difference);
  const place = arrays[it.apart].cells.length > 1 ? it.places[cell] : "";
  const why = chosen === null && arrays[it.apart].cells.some((share) => share !== 0) ? " furthest apart" : "";
  const heads = data.engines.map((name, k) =>
    it.first && data.wrong[k] ? element("th", { scope: "col", class: "apart" }, `✗ ${name}, wrong`) : element("th", { scope: "col" }, name));
  return [
    ...(place ? [element("caption", {}, `${place}${why}`)] : []),
    element("thead", {}, element("tr", {}, element("td"), ...heads)),
    element("tbody", {}, ...rows),
  ];
}

FIGURES.pair = ({ name, note, pair, judged }) => {
  const it = data.pairs[pair];
  const room = { wide: 150, high: 150, cell: 13, written: [240, 180] };
  const shown = it.maps.map((k) => (k === null ? null : arrays[k]));
  const shape = shown.find((array) => array !== null).shape;
  const caption = element("figcaption", {}, element("b", {}, name), ` ${shapeText(shape)}`);
  if (note && note !== name) caption.append(" ", element("span", {}, note));
  const made = element("figure", { class: "pair", "data-name": name, "data-tensor": it.label }, caption);
  const map = (label, ...body) => element("div", { class: "map" }, element("span", { class: "made" }, label), ...body);
  if (it.problem !== null) {
    caption.append(element("span", { class: `judged${it.passed === false ? " apart" : ""}` }, it.problem));
    const bodies = shown.map((array, k) => (array === null ? [element("div", {}, "none")] : tensor(array, `${name} of ${data.engines[k]}`, room)));
    made.append(element("div", { class: "maps" }, ...bodies.map((body, k) => map(data.engines[k], ...body))));
    return made;
  }
  if (judged) caption.append(element("span", { class: `judged${it.passed ? "" : " apart"}` }, it.said));
  const table = element("table", { class: "readout", "aria-live": "polite" });
  const [rows, columns] = shown[0].size;
  if (rows * columns > 1) {
    const canvases = [];
    const chosen = (cell) => {
      canvases.forEach((canvas) => canvas.choose(cell));
      table.replaceChildren(...readout(it, judged, cell === null ? null : cell[0] * columns + cell[1]));
    };
    const [most, difference] = [largest(...shown), arrays[it.difference]];
    const same = difference.cells.every((value) => value === 0);
    const drawn = [
      ...shown.map((array, k) => [data.engines[k], array, overZero(most)]),
      ...(judged || !same ? [["difference", difference, overZero(largest(difference))]] : []),
      ...(judged ? [it.ulps === undefined ? ["budget used", arrays[it.apart], ofBudget] : ["bits apart", arrays[it.apart], ofBits]] : []),
    ];
    const maps = drawn.map(([label, array, colour], k) => {
      const canvas = heatMap(array, `${name}, ${label}, ${shapeText(shape)}`, room, chosen, colour);
      if (k) canvas.tabIndex = -1; // one stop for all of them: they are asked together
      canvases.push(canvas);
      return map(label, canvas);
    });
    made.append(element("div", { class: "maps" }, ...maps));
    chosen(null);
  } else if (rows * columns) {
    table.replaceChildren(...readout(it, judged, null));
  }
  made.append(table);
  return made;
};

for (const { entry, alerts } of steps) {
  const box = document.querySelector(`.graph .box[data-entries~="${entry}"]`);
  if (!box) continue;
  if (alerts.length && !box.classList.contains("apart")) {
    const { x, y, width } = box.querySelector("rect").getBBox();
    const cross = document.createElementNS("http://www.w3.org/2000/svg", "text");
    cross.setAttribute("class", "cross");
    cross.setAttribute("x", x + width - 10);
    cross.setAttribute("y", y + 14);
    cross.textContent = "✗";
    box.append(cross);
  }
  box.classList.toggle("apart", box.classList.contains("apart") || alerts.length > 0);
  box.classList.toggle("first", box.classList.contains("first") || entry === data.first);
}
