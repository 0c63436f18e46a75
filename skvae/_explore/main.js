// The page.

const columns = contents.columns.map(labelColumn);
const plane = new Plane(contents.plane);
document.body.classList.toggle("strip", plane.isStrip);
const rows = await (contents.table
  ? Table.load(contents.table, plane)
  : Pictures.load(contents.pictures, plane));
const offered = [...new Set(plane.pairs.flatMap(({ components }) => components))];
const state = {
  place: [0, 0],
  row: -1,
  picked: -1,
  column: columns[0],
  components: plane.pairs[0].components,
  given: contents.conditions.map(() => 0),
};

const labelOf = (row) => (row < 0 ? "" : state.column.textOf(row));

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
  hint();
  announce();
}

/** Lines of a kind in the hint: more would cover the plane. */
const most = () => (plane.width < 500 ? 3 : 5);

/** Beside the nearest row: its number, labels and first features. */
function hint() {
  const tip = byId("tip");
  const { row } = state;
  tip.hidden = row < 0;
  if (row < 0) return;
  const lines = columns.slice(0, most()).map((column) => [column.title, column.textOf(row)]);
  rows.about.slice(0, most()).forEach(({ name }, k) => lines.push([name, rows.textOf(row, k)]));
  const line = ([name, value]) => make("div", "", "", [make("span", "", name), make("b", "", value)]);
  const head = columns[0].title ? [] : lines.shift().slice(1);
  tip.replaceChildren(line([`row ${row}`, ...head]), ...lines.map(line));
  const [x, y] = plane.toPixel(plane.point(row));
  const { left, top, width, height } = plane.box;
  const isIn = x >= left - 1 && x <= left + width + 1 && y >= top - 1 && y <= top + height + 1;
  const [isRight, isLow] = [x > plane.width / 2, y > plane.height / 2];
  tip.style.transform = `translate(${isRight ? "-100%" : "0"}, ${isLow ? "-100%" : "0"})`;
  tip.style.left = `${x + (isRight ? -16 : 16)}px`;
  tip.style.top = `${y + (isLow ? -10 : 10)}px`;
  tip.hidden = !isIn;
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
  plane.drawPointer(place, row, state.picked);
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

const N_NEAR = 8;

/** List the rows that are near the one at the pointer in the latent space. */
function pick() {
  state.picked = state.row;
  const { picked } = state;
  byId("near").hidden = picked < 0;
  if (picked >= 0) {
    const name = labelOf(picked) && ` (${labelOf(picked)})`;
    const where = plane.names.length > 2 ? ", in all components" : "";
    byId("near-what").textContent = `Nearest to row ${picked}${name}${where}`;
    byId("near-rows").replaceChildren(...plane.neighbours(picked, N_NEAR).map(({ row, distance }) => {
      const words = [make("b", "", labelOf(row)), ` row ${row}`, make("span", "", `at ${written(distance, 3)}`)];
      const button = make("button", "", "", [...rows.thumbnail(row), make("span", "", "", words)]);
      button.type = "button";
      button.onclick = () => moveTo(plane.point(row), row);
      return make("li", "", "", [button]);
    }));
  }
  moveTo(state.place, state.row);
}

function select(chosen) {
  plane.chosen = new Set(chosen);
  byId("selection").hidden = !plane.chosen.size;
  const n = plane.chosen.size;
  byId("selected").textContent = `${n.toLocaleString("en")} row${n === 1 ? "" : "s"} selected`;
  redraw();
}

const lasso = {
  isOn: false,
  turn: (isOn) => {
    lasso.isOn = isOn;
    byId("lasso").setAttribute("aria-pressed", isOn);
    lasso.drop();
  },
  add: (place) => plane.path.push(place),
  drop: () => {
    plane.path = [];
    moveTo(state.place, state.row);
  },
  close: () => {
    const { path } = plane;
    plane.path = [];
    if (path.length > 2) select(plane.within(path));
    moveTo(state.place, state.row);
  },
};

/** Colour by a label or, after these, by a feature of the table. */
function colourBy(k) {
  state.column = columns[k] ?? rows.column(k - columns.length);
  plane.colourBy(state.column);
  buildLegend(state.column, plane.hidden, redraw);
}

/** What is decoded depends on the two components and on what the decoder is given. */
function showPlane() {
  plane.show(state.components);
  colourBy(colours.selectedIndex);
  useSheet();
}

function useSheet() {
  const given = contents.conditions.reduce((at, { names }, k) => at * names.length + state.given[k], 0);
  rows.use(given * plane.pairs.length + plane.pair, plane.isTurned);
  if (plane.backdrop) plane.backdrop = rows.backdrop;
}

const axes = plane.isStrip ? [] : ["Across", "Up"].map((title, axis) =>
  choice(title, [["", offered.length > 2 ? offered.map((k) => plane.names[k]) : []]], (k) => {
    const { components } = state;
    // What the other axis has changes places.
    if (components[1 - axis] === offered[k]) state.components = [components[1], components[0]];
    else state.components = components.map((before, other) => (other === axis ? offered[k] : before));
    axes.forEach((box, other) => { box.selectedIndex = offered.indexOf(state.components[other]); });
    showPlane();
    view.start();
  }));
const titles = columns.map(({ title }, k) => title || (k ? `label ${k}` : "label"));
const isNamed = columns.length > 1 || columns[0].textOf(0) !== "";
const colours = choice("Colour", [
  [rows.about.length ? "Labels" : "", isNamed ? titles : ["none"]],
  ["Columns", rows.about.map(({ name }) => name)],
], (k) => {
  colourBy(k);
  plane.fit();
  if (plane.isStrip && state.row >= 0) state.place = plane.point(state.row);  // it is elsewhere now
  redraw();
});
contents.conditions.forEach(({ title, names }, which) => choice(`Given ${title}`, [["", names]], (k) => {
  state.given[which] = k;
  useSheet();
  redraw();
}));

for (const name of ["closer", "farther", "whole"]) byId(name).onclick = view[name];
byId("backdrop").onclick = () => {
  plane.backdrop = plane.backdrop ? null : rows.backdrop;
  byId("backdrop").setAttribute("aria-pressed", plane.backdrop !== null);
  redraw();
};
byId("lasso").onclick = () => lasso.turn(!lasso.isOn);
byId("clear").onclick = () => select([]);
byId("save-csv").onclick = () => {
  const features = rows.about.map((_, k) => rows.column(k));
  const all = [...columns.slice(isNamed ? 0 : 1), ...features];
  const chosen = [...plane.chosen].sort((a, b) => a - b);
  download(new Blob([csv(chosen, plane, all)], { type: "text/csv" }), "selection.csv");
};
byId("save-png").onclick = async () => {
  download(await picture(plane, document.title, state.column), "plane.png");
};
byId("notes").textContent = rows.notes.filter(Boolean).join(" ");
byId("notes").hidden = !byId("notes").textContent;
listenToFind(plane, columns, moveTo);
listenToPointers(plane, moveTo, pick, lasso);
listenToKeys(plane, state, moveTo, pick, lasso, view);
axes.forEach((box, axis) => { box.selectedIndex = offered.indexOf(state.components[axis]); });
showPlane();
byId("backdrop").hidden = !rows.backdrop;
plane.fit();
view.start();
new ResizeObserver(() => {
  if (plane.fits) return;
  plane.fit();
  redraw();
}).observe(plane.canvas);
matchMedia("(prefers-color-scheme: dark)").onchange = redraw;
requestAnimationFrame(() => setTimeout(() => performance.mark("ready")));  // it is on the screen
