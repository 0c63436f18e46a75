// What all scripts share. They are joined into one module, so that nothing is global.
const byId = (id) => document.getElementById(id);

const contents = JSON.parse(byId("contents").textContent);

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** Read numbers from the bytes that Python packed. */
function unpack(base64, Type) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new Type(bytes.buffer);
}

/** Text from the user is only ever text. */
function make(tag, className = "", text = "", children = []) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(text, ...children);
  return element;
}

const minus = (text) => text.replace("-", "−");

/** Write a number with four digits. */
function written(value) {
  const size = Math.abs(value);
  const short = size !== 0 && (size < 1e-3 || size >= 1e6);
  return minus(short ? value.toExponential(2) : String(Number(value.toPrecision(4))));
}

/** Return round values between two ends, about so many. */
function ticks([low, high], count) {
  const least = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((k) => k * power).find((size) => size >= least);
  const first = Math.ceil(low / step);
  const n = Math.floor(high / step) - first + 1;
  return Array.from({ length: Math.max(n, 0) }, (_, k) => (first + k) * step);
}

/** Look a colour up in the style sheet, which knows whether the page is light or dark. */
const themed = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

// What the user does.

function buildLegend({ title, texts, colours, legend, ends }, hidden, changed) {
  const place = byId("legend");
  place.hidden = !legend && !ends;
  if (ends) return place.append(make("h2", "", title || "Label"), ...ramp(colours, ends));
  if (!legend) return undefined;
  const chips = texts.map((text, k) => {
    const dot = make("span");
    dot.style.background = colours[k];
    const chip = make("button", "chip", "", [dot, text]);
    chip.type = "button";
    chip.onclick = () => show((j) => (j === k) === hidden.has(j));
    return chip;
  });
  const show = (isShown) => {
    const shown = chips.map((_, k) => isShown(k));
    hidden.clear();
    shown.forEach((yes, k) => yes || hidden.add(k));
    chips.forEach((chip, k) => chip.setAttribute("aria-pressed", shown[k]));
    changed();
  };
  const all = [["All", true], ["None", false]].map(([name, yes]) => {
    const button = make("button", "plain", name);
    button.type = "button";
    button.onclick = () => show(() => yes);
    return button;
  });
  chips.forEach((chip) => chip.setAttribute("aria-pressed", true));
  const head = [make("h2", "", title || "Labels"), make("span", "", "", all)];
  return place.append(make("div", "between", "", head), make("div", "chips", "", chips));
}

function ramp(colours, ends) {
  const bar = make("div");
  bar.id = "ramp";
  bar.style.background = `linear-gradient(to right, ${colours.slice(0, -1).join(",")})`;
  return [bar, make("div", "between", "", ends.map((end) => make("span", "", written(end))))];
}

/** Mouse, finger and pen: one moves the pointer; dragging with a mouse, or two fingers, the view. */
function listenToPointers(plane, moveTo) {
  const overlay = plane.overlay;
  const down = new Map();
  const pixel = ({ clientX, clientY }) => {
    const { left, top } = overlay.getBoundingClientRect();
    return [clientX - left, clientY - top];
  };
  const spread = () => {
    const [[x, y], [toX, toY] = [x, y]] = [...down.values()];
    return { middle: [(x + toX) / 2, (y + toY) / 2], size: Math.hypot(toX - x, toY - y) };
  };
  const drag = (event) => {
    const before = spread();
    down.set(event.pointerId, pixel(event));
    const { middle, size } = spread();
    // Zoom first: the whole range leaves nothing to pan to.
    if (down.size > 1) plane.zoom(size / before.size, plane.toLatent(before.middle));
    plane.pan(middle[0] - before.middle[0], middle[1] - before.middle[1]);
    plane.draw();
    moveTo(plane.toLatent(middle));
  };
  overlay.onpointerdown = (event) => {
    overlay.setPointerCapture(event.pointerId);
    down.set(event.pointerId, pixel(event));
    if (down.size === 1) moveTo(plane.toLatent(pixel(event)));
  };
  overlay.onpointermove = (event) => {
    const isDown = down.has(event.pointerId);
    if (isDown && (down.size === 2 || event.pointerType === "mouse")) return drag(event);
    if (isDown) down.set(event.pointerId, pixel(event));
    return moveTo(plane.toLatent(pixel(event)));
  };
  overlay.onpointerup = overlay.onpointercancel = (event) => down.delete(event.pointerId);
  overlay.addEventListener("wheel", (event) => {
    const before = plane.axes[0].view.join();
    plane.zoom(1.0015 ** -event.deltaY, plane.toLatent(pixel(event)));
    if (plane.axes[0].view.join() === before) return;  // at the end of the zoom the page scrolls
    event.preventDefault();
    plane.draw();
    moveTo(plane.toLatent(pixel(event)));
  }, { passive: false });
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/** Keys for all that a mouse can do; `state` has the pointer's place and the nearest row. */
function listenToKeys(plane, state, moveTo, view) {
  const step = (arrow, far) => moveTo(plane.inside(state.place.map((value, k) => {
    const [low, high] = plane.axes[k].view;
    return value + ((arrow[k] * (high - low)) / 100) * (far ? 10 : 1);
  })));
  const next = (by) => {
    for (let k = 1; k <= plane.n; k++) {
      const row = (((state.row + by * k) % plane.n) + plane.n) % plane.n;
      if (plane.isShown(row)) return moveTo(plane.point(row), row);
    }
    return undefined;
  };
  const keys = {
    enter: () => state.row >= 0 && moveTo(plane.point(state.row), state.row),
    n: (far) => next(far ? -1 : 1),
    "+": view.closer,
    "=": view.closer,
    "-": view.farther,
    0: view.whole,
    escape: view.start,
  };
  plane.overlay.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    const act = arrow ? (far) => step(arrow, far) : keys[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act(event.shiftKey);
  };
}

// The page.

const { labels } = contents;
const text = unpack(labels.text, Uint32Array);
const plane = new Plane(contents.plane, labels);
document.body.classList.toggle("strip", plane.isStrip);
const rows = await (contents.table
  ? Table.load(contents.table, plane)
  : Pictures.load(contents.pictures, plane));
const state = { place: [0, 0], row: -1 };

const labelOf = (row) => (row < 0 ? "" : labels.texts[text[row]]);

/** Say where the pointer is and which row is nearest. */
function describe() {
  const { place, row } = state;
  const shown = place.slice(0, plane.isStrip ? 1 : 2).map((z) => minus(z.toFixed(2)));
  byId("where").textContent = `z = ${shown.length > 1 ? `(${shown.join(", ")})` : shown}`;
  byId("label").textContent = labelOf(row);
  byId("number").textContent = row < 0 ? "all are hidden" : `row ${row}`;
  const colour = row >= 0 && labelOf(row) && plane.colours[plane.colour[row]];
  byId("swatch").style.background = colour || "";
  byId("swatch").hidden = !colour;
  Object.assign(plane.overlay.dataset, { x: place[0], y: place[1], row });
  announce();
}

/** Tell screen readers, once the pointer rests. */
let waiting = 0;
function announce() {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const { textContent: where } = byId("where");
    const nearest = `${labelOf(state.row)} ${byId("number").textContent}`.trim();
    byId("live").textContent = `${where}; nearest ${nearest}`;
  }, 400);
}

/** Move the pointer; to a row where one is given, as others may lie on the same point. */
function moveTo(place, row = plane.nearest(place)) {
  Object.assign(state, { place, row });
  const before = plane.axes.map(({ view }) => view).join();
  plane.follow(place);
  if (plane.axes.map(({ view }) => view).join() !== before) plane.draw();
  plane.drawPointer(place, row);
  rows.showDecoded(plane.corners(place));
  rows.showRow(row);
  describe();
}

function redraw() {
  plane.draw();
  moveTo(state.place);
}

const view = {
  closer: () => (plane.zoom(1.5, state.place), redraw()),
  farther: () => (plane.zoom(1 / 1.5, state.place), redraw()),
  whole: () => (plane.showWhole(), redraw()),
  /** The whole plane, the pointer on the row nearest to its middle. */
  start: () => {
    plane.showWhole();
    plane.draw();
    const row = plane.nearest(plane.axes.map(({ ends: [low, high] }) => (low + high) / 2));
    moveTo(row < 0 ? state.place : plane.point(row));
  },
};

for (const name of ["closer", "farther", "whole"]) byId(name).onclick = view[name];
byId("backdrop").hidden = !rows.backdrop;
byId("backdrop").onclick = () => {
  plane.backdrop = plane.backdrop ? null : rows.backdrop;
  byId("backdrop").setAttribute("aria-pressed", plane.backdrop !== null);
  redraw();
};
byId("notes").textContent = rows.notes.filter(Boolean).join(" ");
byId("notes").hidden = !byId("notes").textContent;
buildLegend(labels, plane.hidden, redraw);
listenToPointers(plane, moveTo);
listenToKeys(plane, state, moveTo, view);
plane.fit();
view.start();
new ResizeObserver(() => (plane.fit(), redraw())).observe(plane.canvas);
matchMedia("(prefers-color-scheme: dark)").onchange = redraw;
requestAnimationFrame(() => setTimeout(() => performance.mark("ready")));  // it is on the screen
