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
