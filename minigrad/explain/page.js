const last = steps.length;
const PACE = 1600; // milliseconds a step while playing
const PLAY = id("play").querySelector("path").getAttribute("d");
let current = 0;
let timer = null;

// ---- the step ------------------------------------------------------------------------------

function source({ file, line, text }) {
  const where = element("span", { class: "made" }, `${file}:${line}`);
  const lines = text.split("\n").map((each) =>
    element("div", { style: `--in: ${each.search(/\S|$/)}ch` }, each.trimStart() || "\u200b"));
  return element("div", {}, where, element("pre", {}, ...lines));
}

function article(step) {
  const parts = [
    element("span", { class: `phase ${step.phase}` }, step.phase),
    element("h2", {}, `${current}. ${step.title}`),
    ...step.alerts.map((said) => element("p", { class: "alert" }, said)),
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
        element("h3", {}, title), element("div", { class: "figures" }, ...figures.map((each) => FIGURES[each.kind](each)))));
  if (groups.length) parts.push(element("div", { class: "groups" }, ...groups));
  if (step.code.length) {
    const summary = element("summary", {}, data.source || "The lines that ran");
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
    const room = { wide: 120, high: 72, cell: 10, written: [140, 80] };
    const half = (title, array) => {
      const body = array === null ? [element("div", { class: "range" }, "none")] : tensor(arrays[array], `${data.names[k]} ${title}`, room);
      return element("div", { "data-name": title }, element("span", { class: "made" }, title), ...body);
    };
    return element("section", { class: `parameter${changed ? " lit" : ""}`, "data-parameter": data.names[k] },
      element("h3", {}, data.names[k], element("span", {}, state)),
      element("div", { class: "pair" }, half("value", value), half("gradient", gradient)));
  });
}

function light(step) {
  for (const lit of document.querySelectorAll(".graph .lit")) lit.classList.remove("lit");
  const box = boxOf(step.entry);
  const done = new Set();
  for (const each of steps.slice(0, current)) {
    if (each.phase === "backward" && each.edges) done.add(boxOf(each.entry)?.dataset.box);
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

const boxOf = (entry) => document.querySelector(`.graph .box[data-entries~="${entry}"]`);

function show(number) {
  const wanted = Math.max(1, Math.min(last, number));
  if (wanted === current) return;
  current = wanted;
  const step = steps[current - 1];
  id("step").replaceChildren(...article(step));
  if (data.names) id("parameters").replaceChildren(...parameters(step, steps[current - 2]));
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
  const side = document.querySelector("aside");
  const first = side.querySelector(".lit, [aria-current]");
  if (first) side.scrollTop = first.offsetTop - side.offsetTop - 40;
  light(step);
  if (isFile && location.hash !== `#step-${current}`) history.replaceState(null, "", `#step-${current}`);
  document.documentElement.dataset.step = current;
}

function play(on) {
  clearInterval(timer);
  timer = on ? setInterval(() => (current < last ? show(current + 1) : play(false)), PACE) : null;
  id("play").querySelector("span").textContent = on ? "Pause" : "Play";
  id("play").querySelector("path").setAttribute("d", on ? "M3 2h4v12H3zM9 2h4v12H9z" : PLAY);
  if (on && current === last) show(1);
}

const isFile = location.protocol !== "about:"; // and not a frame in a notebook
const fromHash = () => Number((location.hash.match(/^#step-(\d+)$/) || [])[1]) || 1;
const go = (number) => { play(false); show(number); };
id("first").onclick = () => go(1);
id("back").onclick = () => go(current - 1);
id("next").onclick = () => go(current + 1);
id("last").onclick = () => go(last);
id("play").onclick = () => play(timer === null);
id("slider").oninput = () => go(Number(id("slider").value));
addEventListener("hashchange", () => go(fromHash()));
addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#step-"]');
  if (!link) return;
  event.preventDefault(); // in a frame it would lead to the page around it
  go(Number(link.hash.slice(6)));
  const top = id("step").getBoundingClientRect().top;
  if (top < 0 || top > 0.8 * innerHeight) id("step").scrollIntoView();
});
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.closest("input")) return; // the slider has these keys itself
  const keys = {
    ArrowRight: () => go(current + 1), ArrowLeft: () => go(current - 1),
    Home: () => go(1), End: () => go(last), " ": () => play(timer === null),
  };
  if (!(event.key in keys)) return;
  if (event.key === " " && event.target.closest("button, a, summary")) return;
  if (event.target.closest(".scroll") && event.key.startsWith("Arrow")) return; // scrolls
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
