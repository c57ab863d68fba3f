"use strict";
(() => {
  const { steps, names, arrays, codes } = JSON.parse(document.getElementById("data").textContent);
  const id = (name) => document.getElementById(name);
  const last = steps.length;
  const PACE = 1600; // milliseconds a step while playing
  let current = 0;
  let timer = null;

  /** Make an element: attributes, then children, texts or elements. */
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  // ---- tensors -------------------------------------------------------------------------------

  const shapeText = (shape) => (shape.length ? shape.join("×") : "scalar");
  const numberText = (value) => (Object.is(value, -0) ? "-0" : String(value));
  const short = (text) => {
    const value = Number(text);
    return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : text;
  };

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const rgb = (name) => style.getPropertyValue(name).split(",").map(Number);
    return { zero: rgb("--zero"), negative: rgb("--negative"), positive: rgb("--positive") };
  }

  /** Draw an array on a canvas, a rectangle a cell, and frame the selected one. */
  function paint(canvas, array, wide, high, selected) {
    const [rows, columns] = array.size;
    const { zero, negative, positive } = colours();
    const context = canvas.getContext("2d");
    const finite = array.cells.filter((value) => typeof value === "number");
    const most = finite.reduce((m, value) => Math.max(m, Math.abs(value)), 0) || 1;
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        const value = array.cells[i * columns + j];
        if (typeof value === "boolean") {
          context.fillStyle = `rgb(${value ? positive : zero})`;
        } else if (typeof value === "string") {
          context.fillStyle = "#b000b0"; // not finite
        } else {
          const share = Math.min(1, Math.abs(value) / most);
          const end = value < 0 ? negative : positive;
          context.fillStyle = `rgb(${zero.map((z, k) => Math.round(z + (end[k] - z) * share))})`;
        }
        context.fillRect(j * wide, i * high, wide, high);
      }
    }
    if (selected !== null) {
      const [i, j] = selected;
      context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--ink");
      context.lineWidth = 2;
      const [w, h] = [Math.max(wide, 4), Math.max(high, 4)];
      context.strokeRect(j * wide - (w - wide) / 2, i * high - (h - high) / 2, w, h);
    }
  }

  /** Say where a cell is and what its value is. */
  function cellText(array, i, j) {
    const value = numberText(array.cells[i * array.size[1] + j]);
    if (array.rows.length) {
      const part = (starts, k) =>
        starts[k + 1] - starts[k] > 1 ? `${starts[k]}–${starts[k + 1] - 1}` : `${starts[k]}`;
      const rows = array.shape.length > 1 ? `${part(array.rows, i)}, ` : "";
      return `[${rows}${part(array.columns, j)}] mean ${value}`;
    }
    const index = [j];
    for (let axis = array.shape.length - 2, rest = i; axis >= 0; axis--) {
      index.unshift(rest % array.shape[axis]);
      rest = Math.floor(rest / array.shape[axis]);
    }
    return `[${index.join(", ")}] = ${value}`;
  }

  function rangeText(array) {
    if (!array.cells.length) return "empty";
    const range = array.low === "" ? "not finite" : `${short(array.low)} … ${short(array.high)}`;
    const strange = array.strange && array.low !== "" ? `, ${array.strange} not finite` : "";
    const means = array.rows.length ? " (block means)" : "";
    return `${range}${strange}\nnorm ${array.norm}${means}`;
  }

  /** Make what shows an array: a number, or a heat map whose cells can be asked. */
  function tensor(array, label, room) {
    if (array.cells.length === 1) {
      return [element("div", { class: "single" }, numberText(array.cells[0]))];
    }
    const [rows, columns] = array.size;
    const fit = (cells, space, most) => Math.max(1, Math.min(most, Math.floor(space / cells)));
    const wide = columns === 1 ? room.cell : fit(columns, room.wide, room.cell);
    const high = fit(rows, room.high, room.cell);
    const said = element("div", { class: "range", "aria-live": "polite" }, rangeText(array));
    const canvas = element("canvas", {
      width: wide * columns, height: high * rows, tabindex: 0, role: "img",
      "aria-label": `${label}, ${shapeText(array.shape)}: ${rangeText(array).replace("\n", ", ")}. Arrow keys read cells.`,
    });
    canvas.style.height = `${high * rows}px`; // only the width gives way where there is little room
    let selected = null;
    const show = (cell) => {
      selected = cell;
      paint(canvas, array, wide, high, selected);
      said.classList.toggle("cell", cell !== null);
      said.textContent = cell === null ? rangeText(array) : cellText(array, ...cell);
    };
    const within = (value, count) => Math.max(0, Math.min(count - 1, value));
    canvas.addEventListener("mousemove", (event) => {
      const box = canvas.getBoundingClientRect();
      show([
        within(Math.floor(((event.clientY - box.top) / box.height) * rows), rows),
        within(Math.floor(((event.clientX - box.left) / box.width) * columns), columns),
      ]);
    });
    canvas.addEventListener("mouseleave", () => show(null));
    canvas.addEventListener("focus", () => {
      if (canvas.matches(":focus-visible")) show(selected || [0, 0]);
    });
    canvas.addEventListener("blur", () => show(null));
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    canvas.addEventListener("keydown", (event) => {
      if (event.key in moves) {
        const [down, right] = moves[event.key];
        const [i, j] = selected || [0, 0];
        show([within(i + down, rows), within(j + right, columns)]);
        event.preventDefault();
        event.stopPropagation();
      } else if (event.key === "Escape") {
        id("step").focus();
      }
    });
    canvas.repaint = () => show(selected);
    show(null);
    return [canvas, said];
  }

  function figure({ name, note, array, text }) {
    const found = array === null ? null : arrays[array];
    const shape = found ? ` ${shapeText(found.shape)}` : "";
    const caption = element("figcaption", {}, element("b", {}, name), shape);
    if (note && note !== name) caption.append(" ", element("span", {}, note));
    const body = found
      ? tensor(found, name, { wide: 200, high: 200, cell: 13 })
      : [element("div", { class: "single" }, text)];
    return element("figure", { "data-name": name }, caption, ...body);
  }

  // ---- the step ------------------------------------------------------------------------------

  function source({ file, line, text }) {
    const where = element("span", { class: "made" }, `${file}:${line}`);
    return element("div", {}, where, element("pre", { tabindex: 0, "aria-label": file }, text));
  }

  function article(step) {
    const parts = [
      element("span", { class: `phase ${step.phase}` }, step.phase),
      element("h2", {}, `${current}. ${step.title}`),
      ...step.says.map((said) => element("p", {}, said)),
    ];
    if (step.formulas.length) {
      const lines = step.formulas.map((line) => element("div", {}, line));
      parts.push(element("div", { class: "formulas", role: "group", "aria-label": "Formula" }, ...lines));
    }
    if (step.remark) parts.push(element("p", { class: "remark" }, step.remark));
    const groups = step.groups
      .filter(({ figures }) => figures.length)
      .map(({ title, figures }) =>
        element("div", { class: "group", "data-group": title },
          element("h3", {}, title), element("div", { class: "figures" }, ...figures.map(figure))));
    if (groups.length) parts.push(element("div", { class: "groups" }, ...groups));
    if (step.code.length) {
      const summary = element("summary", {}, "The lines that ran");
      parts.push(element("details", { class: "source", open: "" }, summary, ...step.code.map((k) => source(codes[k]))));
    }
    if (step.line) {
      const made = element("p", { class: "made" }, `Called from ${step.line.file}: `);
      made.append(element("code", {}, step.line.text));
      parts.push(made);
    }
    return parts;
  }

  function parameters(step, before) {
    return step.parameters.map(([value, gradient, state], k) => {
      const changed = before && JSON.stringify(before.parameters[k]) !== JSON.stringify(step.parameters[k]);
      const room = { wide: 120, high: 72, cell: 10 };
      const half = (title, array) => {
        const body = array === null ? [element("div", { class: "range" }, "none")] : tensor(arrays[array], `${names[k]} ${title}`, room);
        return element("div", { "data-name": title }, element("span", { class: "made" }, title), ...body);
      };
      return element("section", { class: `parameter${changed ? " lit" : ""}`, "data-parameter": names[k] },
        element("h3", {}, names[k], element("span", {}, state)),
        element("div", { class: "pair" }, half("value", value), half("gradient", gradient)));
    });
  }

  function light(step) {
    for (const lit of document.querySelectorAll(".graph .lit")) lit.classList.remove("lit");
    const box = [...document.querySelectorAll(".graph .box")].find((each) =>
      each.dataset.entries.split(" ").includes(String(step.entry)));
    const done = new Set();
    for (const each of steps.slice(0, current)) {
      if (each.phase === "backward" && each.edges) done.add(boxOf(each.entry));
    }
    for (const path of document.querySelectorAll(".graph .backward")) {
      path.classList.toggle("done", done.has(path.dataset.to));
    }
    if (!box) return;
    box.classList.add("lit");
    const kind = step.phase === "backward" ? "backward" : "forward";
    if (step.phase !== "update") {
      for (const path of document.querySelectorAll(`.graph .${kind}[data-to="${box.dataset.box}"]`)) {
        if (kind === "forward" || step.edges) path.classList.add("lit");
      }
    }
    const view = id("graph");
    const [outer, inner] = [view.getBoundingClientRect(), box.getBoundingClientRect()];
    view.scrollTop += inner.top - outer.top - (outer.height - inner.height) / 2;
    view.scrollLeft += inner.left - outer.left - (outer.width - inner.width) / 2;
  }

  function boxOf(entry) {
    const box = [...document.querySelectorAll(".graph .box")].find((each) =>
      each.dataset.entries.split(" ").includes(String(entry)));
    return box ? box.dataset.box : null;
  }

  function show(number) {
    const wanted = Math.max(1, Math.min(last, number));
    if (wanted === current) return;
    current = wanted;
    const step = steps[current - 1];
    id("step").replaceChildren(...article(step));
    id("parameters").replaceChildren(...parameters(step, steps[current - 2]));
    const [side, first] = [document.querySelector("aside"), document.querySelector(".parameter.lit")];
    if (first) side.scrollTop = first.offsetTop - side.offsetTop - 40;
    id("slider").value = current;
    id("slider").setAttribute("aria-valuetext", `${current} of ${last}: ${step.title}`);
    const spoken = element("span", { class: "spoken" }, `: ${step.title}`);
    id("position").replaceChildren(`${current} of ${last}`, spoken);
    id("first").disabled = id("back").disabled = current === 1;
    id("last").disabled = id("next").disabled = current === last;
    for (const link of document.querySelectorAll(".list a")) {
      if (link.hash === `#step-${current}`) link.setAttribute("aria-current", "step");
      else link.removeAttribute("aria-current");
    }
    light(step);
    if (location.hash !== `#step-${current}`) history.replaceState(null, "", `#step-${current}`);
    document.documentElement.dataset.step = current;
  }

  function play(on) {
    clearInterval(timer);
    timer = on ? setInterval(() => (current < last ? show(current + 1) : play(false)), PACE) : null;
    id("play").textContent = on ? "❚❚" : "▶▶";
    id("play").setAttribute("aria-label", on ? "Pause" : "Play");
    if (on && current === last) show(1);
  }

  const fromHash = () => Number((location.hash.match(/^#step-(\d+)$/) || [])[1]) || 1;
  const go = (number) => { play(false); show(number); };
  id("first").onclick = () => go(1);
  id("back").onclick = () => go(current - 1);
  id("next").onclick = () => go(current + 1);
  id("last").onclick = () => go(last);
  id("play").onclick = () => play(timer === null);
  id("slider").oninput = () => go(Number(id("slider").value));
  addEventListener("hashchange", () => go(fromHash()));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest("input")) return; // the slider has these keys itself
    const keys = {
      ArrowRight: () => go(current + 1), ArrowLeft: () => go(current - 1),
      Home: () => go(1), End: () => go(last), " ": () => play(timer === null),
    };
    if (!(event.key in keys)) return;
    if (event.key === " " && event.target.closest("button, a, summary")) return;
    if (event.target.closest("pre, .scroll") && event.key.startsWith("Arrow")) return; // scrolls
    event.preventDefault();
    keys[event.key]();
  });
  for (const box of document.querySelectorAll(".graph .box")) {
    box.addEventListener("click", () => {
      const entries = box.dataset.entries.split(" ").map(Number);
      const found = steps.findIndex((step) => entries.includes(step.entry));
      if (found >= 0) go(found + 1);
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const canvas of document.querySelectorAll("canvas")) canvas.repaint();
  });
  show(fromHash());
})();
