// What the user does: buttons, pointers and keys.

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
