// What the user does: buttons, pointers and keys.

function buildLegend({ title, colours, legend, ends }, hidden, changed) {
  const place = byId("legend");
  place.replaceChildren();
  place.hidden = !legend && !ends;
  if (ends) return place.append(make("h2", "", title || "Label"), ...ramp(colours, ends));
  if (!legend) return undefined;
  const chips = legend.map((text, k) => {
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

/** A box to choose from: groups of options by their titles; hidden where there is no choice. */
function choice(title, groups, chosen) {
  const select = make("select");
  for (const [name, options] of groups) {
    const items = options.map((text, k) => Object.assign(make("option", "", text), { value: `${name}${k}` }));
    select.append(...(name ? [Object.assign(make("optgroup", "", "", items), { label: name })] : items));
  }
  select.onchange = () => chosen(select.selectedIndex);
  const label = make("label", "", `${title} `, [select]);
  label.hidden = select.options.length < 2;
  byId("choices").insertBefore(label, byId("finding"));
  return select;
}

/** Look for a row by its number, else by a text of any column: whole ones first. */
function listenToFind(plane, columns, moveTo) {
  const box = byId("find");
  const texts = columns.filter((column) => column.texts);
  let [found, at] = [[], 0];
  const search = () => {
    const wanted = box.value.trim().toLowerCase();
    const number = /^#?\d+$/.test(wanted) ? Number(wanted.replace("#", "")) : -1;
    // Each distinct text is compared once: 2 as a whole, 1 in part, which no number is.
    const ranks = texts.map((column) => column.texts.map((text) => {
      const lower = text.toLowerCase();
      return lower === wanted ? 2 : Number(number < 0 && lower.includes(wanted));
    }));
    const ranked = [[], [], []];
    for (let row = 0; row < plane.n && wanted; row++) {
      const rank = row === number ? 3 : Math.max(0, ...texts.map(({ codes }, k) => ranks[k][codes[row]]));
      if (rank && plane.isShown(row)) ranked[3 - rank].push(row);
    }
    return ranked.flat();
  };
  const show = () => {
    byId("found").textContent = box.value && (found.length ? `${at + 1} of ${found.length}` : "none");
    if (found.length) moveTo(plane.point(found[at]), found[at]);
  };
  box.oninput = () => ([found, at] = [search(), 0], show());
  box.onkeydown = ({ key, shiftKey }) => {
    if (key !== "Enter" || !found.length) return;
    at = (at + (shiftKey ? found.length - 1 : 1)) % found.length;
    show();
  };
}

/**
 * Mouse, finger and pen: one moves the pointer, and picks a row where it stays in place; dragging
 * with a mouse, or two fingers, moves the view, or draws the lasso where that is on.
 */
function listenToPointers(plane, moveTo, pick, lasso) {
  const overlay = plane.overlay;
  const down = new Map();
  let start = null;  // of what may become a click
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
    start = down.size === 1 ? pixel(event) : null;
    if (down.size > 1) return lasso.drop();
    if (lasso.isOn) lasso.add(plane.toLatent(pixel(event)));
    return moveTo(plane.toLatent(pixel(event)));
  };
  overlay.onpointermove = (event) => {
    const isDown = down.has(event.pointerId);
    const [x, y] = pixel(event);
    if (start && Math.hypot(x - start[0], y - start[1]) > 4) start = null;
    if (isDown && down.size === 1 && lasso.isOn) lasso.add(plane.toLatent([x, y]));
    else if (isDown && (down.size === 2 || event.pointerType === "mouse")) return drag(event);
    if (isDown) down.set(event.pointerId, [x, y]);
    return moveTo(plane.toLatent([x, y]));
  };
  overlay.onpointerup = overlay.onpointercancel = (event) => {
    down.delete(event.pointerId);
    const isClick = start && event.type === "pointerup";
    start = null;
    if (lasso.isOn) lasso.close();
    if (isClick) pick();
  };
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
function listenToKeys(plane, state, moveTo, pick, lasso, view) {
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
    enter: () => {
      if (plane.path.length) return lasso.close();
      if (state.row >= 0) moveTo(plane.point(state.row), state.row);
      return pick();
    },
    l: () => (lasso.add(state.place), moveTo(state.place, state.row)),
    "/": () => byId("find").focus(),
    n: (far) => next(far ? -1 : 1),
    "+": view.closer,
    "=": view.closer,
    "-": view.farther,
    0: view.whole,
    escape: () => (plane.path.length ? lasso.drop() : view.start()),
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
