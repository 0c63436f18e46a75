/** The rows in one or two components: where they are on the screen, and what is near. */
class Plane {
  margin = { left: 52, right: 4, top: 8, bottom: 48 };  // of a square, so that its box is one
  hidden = new Set();
  backdrop = null;

  constructor({ axes, nodes, points }, { colours, colour }) {
    this.axes = axes.map((axis) => ({ ...axis, view: [...axis.ends] }));
    [this.nodesUp, this.nodesRight] = nodes;
    this.isStrip = this.nodesUp === 1;
    this.points = unpack(points, Float32Array);
    this.n = this.points.length / 2;
    this.colours = colours;
    this.colour = unpack(colour, Uint16Array);
    this.canvas = byId("points");
    this.overlay = byId("pointer");
  }

  point = (row) => [this.points[2 * row], this.points[2 * row + 1]];

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

  /**
   * Return the row that is shown nearest to a point, or −1.
   * All are looked at: with 5,000 of them, and all that is drawn, a move takes 1 ms.
   */
  nearest([x, y]) {
    const [right, down] = this.scale;
    let best = -1;
    let least = Infinity;
    for (let row = 0; row < this.n; row++) {
      const dx = (this.points[2 * row] - x) * right;
      const dy = (this.points[2 * row + 1] - y) * down;
      const distance = dx * dx + dy * dy;
      if (distance < least && this.isShown(row)) [best, least] = [row, distance];
    }
    return best;
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
      .map(([up, right, weight]) => ({ up, right, weight }));
  }

  // Drawing.

  context(canvas) {
    const context = canvas.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.font = "12px system-ui, sans-serif";
    return context;
  }

  draw() {
    const context = this.context(this.canvas);
    context.clearRect(0, 0, this.width, this.height);
    const { left, top, width, height } = this.box;
    this.drawAxes(context);
    context.save();
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    if (this.backdrop) this.drawBackdrop(context);
    this.drawPoints(context);
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

  /** Stamp the points in the order of the rows, so that no class lies on top of all others. */
  drawPoints(context) {
    const radius = this.radius;
    const stamps = this.colours.map((colour) => this.stamp(colour, radius));
    const half = radius + 1;
    for (let row = 0; row < this.n; row++) {
      if (!this.isShown(row)) continue;
      const [x, y] = this.toPixel(this.point(row));
      context.drawImage(stamps[this.colour[row]], x - half, y - half, 2 * half, 2 * half);
    }
  }

  get radius() {
    const closer = (this.axes[0].ends[1] - this.axes[0].ends[0])
      / (this.axes[0].view[1] - this.axes[0].view[0]);
    return clamp((0.3 * this.box.width * closer ** 0.4) / Math.sqrt(this.n), 1.4, 4.5);
  }

  stamp(colour, radius) {
    const stamp = document.createElement("canvas");
    stamp.width = stamp.height = Math.ceil(2 * (radius + 1) * this.ratio);
    const context = stamp.getContext("2d");
    context.scale(stamp.width / (2 * (radius + 1)), stamp.width / (2 * (radius + 1)));
    context.arc(radius + 1, radius + 1, radius, 0, 2 * Math.PI);
    context.globalAlpha = 0.85;
    context.fillStyle = colour;
    context.fill();
    context.lineWidth = 0.5;
    context.strokeStyle = this.backdrop ? "black" : themed("--paper");
    context.stroke();
    return stamp;
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

  /** Mark the pointer and the nearest row, and join them; with a rim, to be seen on anything. */
  drawPointer(place, row) {
    const context = this.context(this.overlay);
    context.clearRect(0, 0, this.width, this.height);
    const [x, y] = this.toPixel(place);
    const cross = new Path2D(`M${x - 11},${y}h7m8,0h7M${x},${y - 11}v7m0,8v7`);  // open, to see through
    const ring = new Path2D();
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
    const strokes = [[ring, "--paper", 4], [ring, "--ink", 1.5]];
    strokes.push([cross, "--paper", 5], [cross, "--focus", 2.5]);
    for (const [path, colour, width] of strokes) {
      context.strokeStyle = themed(colour);
      context.lineWidth = width;
      context.stroke(path);
    }
  }
}
