// Two kinds of rows with one interface: what is decoded is on sheets, of which one is in use.

/** Rows that are pictures, all on one sheet. */
class Pictures {
  static async load({ rows, decoded, note }, { nodesUp, nodesRight }) {
    const images = [...rows.sources, ...decoded.sources].map((src) => Object.assign(new Image(), { src }));
    await Promise.all(images.map((image) => image.decode()));
    return new Pictures(rows, decoded, note, images, [nodesUp, nodesRight]);
  }

  constructor(rows, decoded, note, [rowsImage, ...sheets], nodes) {
    this.rows = { ...rows, image: rowsImage, context: this.open("row", rows.size) };
    this.decoded = { ...decoded, context: this.open("decoded", decoded.size) };
    this.columns = rowsImage.width / rows.size[1];
    this.sheets = sheets;
    [this.nodesUp, this.nodesRight] = nodes;
    const notes = [[rows.note, "Rows "], [decoded.note, "Decoded rows "]];
    this.notes = [...notes.map(([text, of]) => text && `${of}${text}.`), note];
  }

  /** Look at one sheet; where the plane is turned, its backdrop has the tiles turned, too. */
  use(sheet, isTurned) {
    this.sheet = this.readable(this.sheets[sheet]);
    this.backdrop = this.nodesUp === 1 ? null : this.sheet;
    if (!isTurned) return;
    const { decoded: { size: [height, width] }, nodesUp: n } = this;
    this.backdrop = Object.assign(document.createElement("canvas"), { width: n * width, height: n * height });
    const context = this.backdrop.getContext("2d");
    for (let k = 0; k < n * n; k++) {
      const [up, right] = [Math.floor(k / n), k % n];
      const from = [right * width, (n - 1 - up) * height];
      context.drawImage(this.sheet, ...from, width, height, up * width, (n - 1 - right) * height, width, height);
    }
  }

  open(id, [height, width]) {
    const canvas = byId(id);
    [canvas.width, canvas.height, canvas.hidden] = [width, height, false];
    canvas.classList.toggle("coarse", Math.max(width, height) <= 96);
    return canvas.getContext("2d");
  }

  readable(image) {
    const canvas = Object.assign(document.createElement("canvas"), {
      width: image.width,
      height: image.height,
    });
    canvas.getContext("2d", { willReadFrequently: true }).drawImage(image, 0, 0);
    return canvas;
  }

  showRow(row) {
    this.drawRow(row, this.rows.context);
  }

  drawRow(row, context) {
    const { image, size: [height, width] } = this.rows;
    context.clearRect(0, 0, width, height);
    if (row < 0) return;
    const [x, y] = [(row % this.columns) * width, Math.floor(row / this.columns) * height];
    context.drawImage(image, x, y, width, height, 0, 0, width, height);
  }

  /** Return a small picture of a row. */
  thumbnail(row) {
    const { size: [height, width] } = this.rows;
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    this.drawRow(row, canvas.getContext("2d"));
    return [canvas];
  }

  about = [];

  showDecoded(corners) {
    const { context, size: [height, width] } = this.decoded;
    const sum = new Float32Array(4 * width * height);
    for (const { up, right, weight } of corners) {
      const [x, y] = [right * width, (this.nodesUp - 1 - up) * height];
      const { data } = this.sheet.getContext("2d").getImageData(x, y, width, height);
      for (let i = 0; i < sum.length; i++) sum[i] += weight * data[i];
    }
    const mixed = new ImageData(width, height);
    mixed.data.set(sum);
    context.putImageData(mixed, 0, 0);
  }
}

/** Rows of a table: each feature has a scale with a mark for both values. */
class Table {
  backdrop = null;

  static load = async ({ features, rows, decoded, note }, { nodesUp, nodesRight }) =>
    new Table(features, rows, decoded, note, [nodesUp, nodesRight]);

  constructor(features, rows, decoded, note, [nodesUp, nodesRight]) {
    this.about = features;
    this.rows = unpack(rows, Float32Array);
    this.sheets = unpack(decoded, Float32Array);
    this.nodesRight = nodesRight;
    this.sheetSize = nodesUp * nodesRight * features.length;
    this.notes = [note];
    document.body.classList.add("table");
    byId("table").hidden = false;
    this.lines = features.map((feature) => this.addLine(feature));
  }

  use(sheet) {
    this.decoded = this.sheets.subarray(sheet * this.sheetSize, (sheet + 1) * this.sheetSize);
  }

  thumbnail = () => [];

  /** Return a feature as a column that can colour the rows. */
  column(k) {
    const n = this.about.length;
    return featureColumn(this.about[k], Float32Array.from({ length: this.rows.length / n }, (_, row) => this.rows[row * n + k]));
  }

  textOf(row, k) {
    const value = this.rows[row * this.about.length + k];
    return Number.isNaN(value) ? "missing" : this.about[k].levels[value] ?? written(value);
  }

  addLine({ name }) {
    const cells = { decoded: make("td"), row: make("td") };
    const marks = { decoded: make("span", "mark decoded"), row: make("span", "mark row") };
    const track = make("td", "", "", [make("div", "track", "", [marks.row, marks.decoded])]);
    const head = make("th", "", name);
    head.scope = "row";
    byId("table").tBodies[0].append(make("tr", "", "", [head, ...Object.values(cells), track]));
    return { cells, marks };
  }

  show(kind, values) {
    this.lines.forEach(({ cells, marks }, k) => {
      const { ends: [low, high], levels } = this.about[k];
      const value = values?.[k];
      const isKnown = value !== undefined && !Number.isNaN(value);
      const unknown = value === undefined ? "" : "missing";
      cells[kind].textContent = isKnown ? levels[value] ?? written(value) : unknown;
      marks[kind].hidden = !isKnown;
      marks[kind].style.left = `${high > low ? clamp((100 * (value - low)) / (high - low), 0, 100) : 50}%`;
    });
  }

  showRow(row) {
    const n = this.about.length;
    this.show("row", row < 0 ? null : this.rows.subarray(row * n, (row + 1) * n));
  }

  showDecoded(corners) {
    const n = this.about.length;
    const at = ({ up, right }, k) => this.decoded[(up * this.nodesRight + right) * n + k];
    const nearest = corners.reduce((best, corner) => (corner.weight > best.weight ? corner : best));
    this.show("decoded", this.about.map(({ levels }, k) => levels.length
      ? at(nearest, k)  // a mean of two categories is none
      : corners.reduce((sum, corner) => sum + corner.weight * at(corner, k), 0)));
  }
}
