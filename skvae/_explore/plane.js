/** Pixels that stamps are laid over one after the other: drawImage takes ten times as long. */
class Layer {
  constructor(width, height) {
    this.image = new ImageData(width, height);
  }

  /** Lay a stamp over what is there, its top left at a pixel; colours are mixed by their opacity. */
  put({ data, width: size }, left, top, opacity) {
    const { data: below, width, height } = this.image;
    const [firstX, firstY] = [Math.max(0, -left), Math.max(0, -top)];
    const [lastX, lastY] = [Math.min(size, width - left), Math.min(size, height - top)];
    for (let y = firstY; y < lastY; y++) {
      let from = 4 * (y * size + firstX);
      let to = 4 * ((top + y) * width + left + firstX);
      for (let x = firstX; x < lastX; x++, from += 4, to += 4) {
        const above = (data[from + 3] / 255) * opacity;
        if (above === 0) continue;
        const rest = (below[to + 3] / 255) * (1 - above);
        for (let k = 0; k < 3; k++) below[to + k] = (data[from + k] * above + below[to + k] * rest) / (above + rest);
        below[to + 3] = 255 * (above + rest);
      }
    }
  }

  get canvas() {
    const { image } = this;
    const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  }
}

/** The rows in one or two components: where they are on the screen, and what is near. */
class Plane {
  margin = { left: 52, right: 4, top: 8, bottom: 48 };  // of a square, so that its box is one
  hidden = new Set();  // classes of the column that colours the rows
  chosen = new Set();  // rows that are selected
  path = [];  // of the lasso, while it is drawn
  backdrop = null;

  constructor({ names, pairs, nodes, points }) {
    this.names = names;
    this.pairs = pairs;
    [this.nodesUp, this.nodesRight] = nodes;
    this.isStrip = this.nodesUp === 1;
    this.latent = unpack(points, Float32Array);
    this.n = this.latent.length / names.length;
    this.points = new Float32Array(2 * this.n);
    this.canvas = byId("points");
    this.overlay = byId("pointer");
  }

  /** Show two components, or one; a grid of nodes serves two in either order. */
  show(shown) {
    this.pair = this.pairs.findIndex(({ components }) => shown.every((k) => components.includes(k)));
    const { components, ends } = this.pairs[this.pair];
    this.isTurned = components[0] !== shown[0];
    this.axes = shown.map((k) => {
      const at = ends[components.indexOf(k)];
      return { name: this.names[k], ends: at, view: [...at] };
    });
    shown.forEach((k, axis) => {
      for (let row = 0; row < this.n; row++) this.points[2 * row + axis] = this.z(row)[k];
    });
  }

  /** Colour the rows by a column, which a strip has as its vertical axis. */
  colourBy({ colours, colour, strip }) {
    Object.assign(this, { colours, colour });
    this.hidden.clear();
    if (!this.isStrip) return;
    const { heights, ...axis } = strip();
    this.axes[1] = { ...axis, view: [...axis.ends] };
    for (let row = 0; row < this.n; row++) this.points[2 * row + 1] = heights[row];
  }

  point = (row) => [this.points[2 * row], this.points[2 * row + 1]];

  z = (row) => this.latent.subarray(row * this.names.length, (row + 1) * this.names.length);

  isShown = (row) => !this.hidden.has(this.colour[row]);

  // Latent coordinates and pixels of the page.

  fit() {
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    this.ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.canvas, this.overlay]) {
      canvas.width = Math.round(this.width * this.ratio);
      canvas.height = Math.round(this.height * this.ratio);
    }
    if (this.isStrip) this.fitMargin();
  }

  get fits() {
    return this.width === this.canvas.clientWidth && this.height === this.canvas.clientHeight;
  }

  /** Make room for the names at the vertical axis. */
  fitMargin() {
    const context = this.context(this.canvas);
    const widths = this.marksUp().map(([, name]) => context.measureText(name).width);
    this.margin.left = clamp(Math.max(...widths) + 34, 34, this.width / 3);
  }

  get box() {
    const { left, right, top, bottom } = this.margin;
    return { left, top, width: this.width - left - right, height: this.height - top - bottom };
  }

  /** Pixels for each unit, to the right and downward. */
  get scale() {
    const [x, y] = this.axes.map(({ view: [low, high] }) => high - low);
    return [this.box.width / x, -this.box.height / y];
  }

  toPixel([x, y]) {
    const [right, down] = this.scale;
    const { left, top } = this.box;
    return [left + (x - this.axes[0].view[0]) * right, top + (y - this.axes[1].view[1]) * down];
  }

  /** Return the latent point under a pixel, or at the edge of the view beside it. */
  toLatent([pixelX, pixelY]) {
    const [right, down] = this.scale;
    const { left, top } = this.box;
    return [
      clamp(this.axes[0].view[0] + (pixelX - left) / right, ...this.axes[0].view),
      clamp(this.axes[1].view[1] + (pixelY - top) / down, ...this.axes[1].view),
    ];
  }

  inside = (place) => place.map((value, k) => clamp(value, ...this.axes[k].ends));

  // The view.

  /** Zoom about a point, which stays where it is; a strip only along its component. */
  zoom(factor, place) {
    for (const [k, { ends, view }] of this.zoomable()) {
      const whole = ends[1] - ends[0];
      const size = clamp((view[1] - view[0]) / factor, whole / 50, whole);
      const share = (place[k] - view[0]) / (view[1] - view[0]);
      this.setView(k, place[k] - share * size, size);
    }
  }

  pan(pixelX, pixelY) {
    const moved = [pixelX, pixelY];
    for (const [k, { view }] of this.zoomable())
      this.setView(k, view[0] - moved[k] / this.scale[k], view[1] - view[0]);
  }

  /** Move the view as far as needed to have a point in it. */
  follow(place) {
    for (const [k, { view }] of this.zoomable())
      this.setView(k, view[0] + place[k] - clamp(place[k], ...view), view[1] - view[0]);
  }

  showWhole() {
    for (const axis of this.axes) axis.view = [...axis.ends];
  }

  zoomable = () => [...this.axes.entries()].slice(0, this.isStrip ? 1 : 2);

  setView(k, low, size) {
    const { ends } = this.axes[k];
    const start = clamp(low, ends[0], ends[1] - size);
    this.axes[k].view = [start, start + size];
  }

  // What is near.

  /** Return the row that is shown nearest to a point, or −1. All are looked at. */
  nearest([x, y]) {
    const [right, down] = this.scale;
    const { points, n } = this;
    let best = -1;
    let least = Infinity;
    for (let row = 0; row < n; row++) {
      const dx = (points[2 * row] - x) * right;
      const dy = (points[2 * row + 1] - y) * down;
      const distance = dx * dx + dy * dy;
      if (distance < least && this.isShown(row)) {
        best = row;
        least = distance;
      }
    }
    return best;
  }

  /** Return rows in the order of their distance from one, in all components, and the distances. */
  neighbours(row, count) {
    const from = this.z(row);
    const distances = new Float64Array(this.n);
    for (let other = 0; other < this.n; other++) {
      let sum = 0;
      const start = other * from.length;
      for (let k = 0; k < from.length; k++) sum += (this.latent[start + k] - from[k]) ** 2;
      distances[other] = other === row ? Infinity : sum;
    }
    const last = distances.slice().sort()[Math.min(count, this.n - 1) - 1];
    const near = [];
    distances.forEach((distance, other) => distance <= last && other !== row && near.push(other));
    near.sort((a, b) => distances[a] - distances[b]);
    return near.slice(0, count).map((other) => ({ row: other, distance: Math.sqrt(distances[other]) }));
  }

  /** Return the rows that are shown inside a polygon. */
  within(path) {
    const rows = [];
    for (let row = 0; row < this.n; row++) {
      const [x, y] = this.point(row);
      let isInside = false;
      path.forEach(([toX, toY], k) => {
        const [fromX, fromY] = path.at(k - 1);
        const isCrossed = (fromY > y) !== (toY > y);
        if (isCrossed && x < fromX + ((toX - fromX) * (y - fromY)) / (toY - fromY)) isInside = !isInside;
      });
      if (isInside && this.isShown(row)) rows.push(row);
    }
    return rows;
  }

  /** Return the nodes around a point with their weights in linear interpolation. */
  corners(place) {
    const along = (k, n) => {
      const [low, high] = this.axes[k].ends;
      const position = n === 1 ? 0 : ((place[k] - low) / (high - low)) * (n - 1);
      const first = Math.min(Math.floor(position), Math.max(n - 2, 0));
      return [[first, 1 - position + first], [first + 1, position - first]];
    };
    return along(1, this.nodesUp)
      .flatMap(([up, v]) => along(0, this.nodesRight).map(([right, u]) => [up, right, u * v]))
      .filter(([, , weight]) => weight > 0)
      .map(([v, u, weight]) => (this.isTurned ? { up: u, right: v, weight } : { up: v, right: u, weight }));
  }

  // Drawing.

  context(canvas, ratio = this.ratio) {
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.font = "12px system-ui, sans-serif";
    return context;
  }

  draw() {
    if (!this.width || !this.height) return;  // in a frame that is not shown
    const context = this.context(this.canvas);
    context.clearRect(0, 0, this.width, this.height);
    this.paint(context, this.ratio);
  }

  /** Draw all but the pointer; so many pixels of the canvas are one of the page. */
  paint(context, ratio) {
    const { left, top, width, height } = this.box;
    this.drawAxes(context);
    context.save();
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    if (this.backdrop) this.drawBackdrop(context);
    this.drawPoints(context, ratio);
    context.restore();
    context.strokeStyle = themed("--line");
    context.strokeRect(left, top, width, height);
  }

  /** Draw what is decoded at the nodes, each around its node. */
  drawBackdrop(context) {
    const [low, high] = [0, 1].map((k) => this.toPixel(this.axes.map(({ ends }) => ends[k])));
    const size = [high[0] - low[0], low[1] - high[1]];
    const half = [size[0] / (this.nodesRight - 1) / 2, size[1] / (this.nodesUp - 1) / 2];
    const [left, top] = [low[0] - half[0], high[1] - half[1]];
    context.drawImage(this.backdrop, left, top, size[0] + 2 * half[0], size[1] + 2 * half[1]);
  }

  /**
   * Stamp the points in the order of the rows, so that no class lies on top of all others; those
   * that are selected come last, and the others are pale then.
   */
  drawPoints(context, ratio) {
    const { radius, chosen, points } = this;
    const stamps = this.colours.map((colour) => this.stamp(colour, radius, ratio));
    const layer = new Layer(Math.round(this.width * ratio), Math.round(this.height * ratio));
    const [right, down] = this.scale;
    const { left, top } = this.box;
    const half = stamps[0].width / 2;
    const [startX, startY] = [(left - this.axes[0].view[0] * right) * ratio - half, (top - this.axes[1].view[1] * down) * ratio - half];
    const put = (row, opacity) => {
      if (!this.isShown(row)) return;
      const [x, y] = [startX + points[2 * row] * right * ratio, startY + points[2 * row + 1] * down * ratio];
      layer.put(stamps[this.colour[row]], Math.round(x), Math.round(y), opacity);
    };
    const pale = chosen.size ? 0.15 : 1;
    for (let row = 0; row < this.n; row++) if (!chosen.has(row)) put(row, pale);
    for (const row of chosen) put(row, 1);
    context.drawImage(layer.canvas, 0, 0, this.width, this.height);
  }

  get radius() {
    const closer = (this.axes[0].ends[1] - this.axes[0].ends[0])
      / (this.axes[0].view[1] - this.axes[0].view[0]);
    return clamp((0.3 * this.box.width * closer ** 0.4) / Math.sqrt(this.n), 1.4, 4.5);
  }

  /** Return the pixels of a point. */
  stamp(colour, radius, ratio) {
    const stamp = document.createElement("canvas");
    stamp.width = stamp.height = Math.ceil(2 * (radius + 1) * ratio);
    const context = stamp.getContext("2d", { willReadFrequently: true });
    context.scale(ratio, ratio);
    context.arc(stamp.width / ratio / 2, stamp.width / ratio / 2, radius, 0, 2 * Math.PI);
    context.globalAlpha = 0.85;
    context.fillStyle = colour;
    context.fill();
    context.lineWidth = 0.5;
    context.strokeStyle = this.backdrop ? "black" : themed("--paper");
    context.stroke();
    return context.getImageData(0, 0, stamp.width, stamp.width);
  }

  drawAxes(context) {
    const { left, top, width, height } = this.box;
    const [right, up] = this.axes;
    context.fillStyle = themed("--quiet");
    context.strokeStyle = themed("--grid");
    context.lineWidth = 1;
    context.textAlign = "center";
    for (const value of ticks(right.view, width / 50)) {
      const [x] = this.toPixel([value, up.view[0]]);
      this.line(context, x, top, x, top + height);
      context.fillText(written(value), x, top + height + 16);
    }
    context.fillText(right.name, left + width / 2, top + height + 36);
    context.textAlign = "right";
    for (const [value, name] of this.marksUp()) {
      const [, y] = this.toPixel([right.view[0], value]);
      this.line(context, left, y, left + width, y);
      context.fillText(name, left - 6, y + 4, left - 24);
    }
    context.save();
    context.translate(12, top + height / 2);
    context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillText(up.name, 0, 0);
    context.restore();
  }

  /** What is written at the vertical axis, and where. */
  marksUp() {
    const { lanes, view } = this.axes[1];
    if (lanes) return lanes.map((name, lane) => [lane, name]);
    return ticks(view, this.box.height / 50).map((value) => [value, written(value)]);
  }

  line(context, x, y, toX, toY) {
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(toX, toY);
    context.stroke();
  }

  /**
   * Mark the pointer and the nearest row, and join them; with a rim, to be seen on anything. The
   * picked row has a second ring; the lasso is closed where it would be.
   */
  drawPointer(place, row, picked) {
    const context = this.context(this.overlay);
    context.clearRect(0, 0, this.width, this.height);
    const [x, y] = this.toPixel(place);
    const cross = new Path2D(`M${x - 11},${y}h7m8,0h7M${x},${y - 11}v7m0,8v7`);  // open, to see through
    const [ring, mark, lasso] = [new Path2D(), new Path2D(), new Path2D()];
    if (row >= 0) {
      const [atX, atY] = this.toPixel(this.point(row));
      const radius = this.radius + 3.5;
      const far = Math.hypot(atX - x, atY - y);
      ring.arc(atX, atY, radius, 0, 2 * Math.PI);
      if (far > radius) {
        ring.moveTo(x, y);
        ring.lineTo(atX - ((atX - x) * radius) / far, atY - ((atY - y) * radius) / far);
      }
    }
    if (picked >= 0) mark.arc(...this.toPixel(this.point(picked)), this.radius + 7, 0, 2 * Math.PI);
    this.path.forEach((corner) => lasso.lineTo(...this.toPixel(corner)));
    lasso.closePath();
    const strokes = [[ring, "--paper", 4], [ring, "--ink", 1.5], [mark, "--paper", 4], [mark, "--focus", 2]];
    strokes.push([lasso, "--paper", 4], [lasso, "--focus", 2], [cross, "--paper", 5], [cross, "--focus", 2.5]);
    for (const [path, colour, width] of strokes) {
      context.strokeStyle = themed(colour);
      context.lineWidth = width;
      context.stroke(path);
    }
  }
}
