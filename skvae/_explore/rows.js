// Two kinds of rows with one interface: showRow(row) and showDecoded(corners).

/** Rows that are pictures, on one sheet; so are those decoded at the nodes. */
class Pictures {
  static async load({ rows, decoded, note }, { nodesUp }) {
    const images = [rows, decoded].map(({ source }) => Object.assign(new Image(), { src: source }));
    await Promise.all(images.map((image) => image.decode()));
    return new Pictures(rows, decoded, note, images, nodesUp);
  }

  constructor(rows, decoded, note, [rowsImage, decodedImage], nodesUp) {
    this.rows = { ...rows, image: rowsImage, context: this.open("row", rows.size) };
    this.decoded = { ...decoded, context: this.open("decoded", decoded.size) };
    this.columns = rowsImage.width / rows.size[1];
    this.nodesUp = nodesUp;
    this.sheet = this.readable(decodedImage);
    const notes = [[rows.note, "Rows "], [decoded.note, "Decoded rows "]];
    this.notes = [...notes.map(([text, of]) => text && `${of}${text}.`), note];
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

  get backdrop() {
    return this.nodesUp > 1 ? this.sheet : null;
  }

  showRow(row) {
    const { image, context, size: [height, width] } = this.rows;
    context.clearRect(0, 0, width, height);
    if (row < 0) return;
    const [x, y] = [(row % this.columns) * width, Math.floor(row / this.columns) * height];
    context.drawImage(image, x, y, width, height, 0, 0, width, height);
  }

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

  static load = async ({ features, rows, decoded, note }, { nodesRight }) =>
    new Table(features, rows, decoded, note, nodesRight);

  constructor(features, rows, decoded, note, nodesRight) {
    this.features = features;
    this.rows = unpack(rows, Float32Array);
    this.decoded = unpack(decoded, Float32Array);
    this.nodesRight = nodesRight;
    this.notes = [note];
    document.body.classList.add("table");
    byId("table").hidden = false;
    this.lines = features.map((feature) => this.addLine(feature));
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
      const { ends: [low, high], levels } = this.features[k];
      const value = values?.[k];
      const isKnown = value !== undefined && !Number.isNaN(value);
      const unknown = value === undefined ? "" : "missing";
      cells[kind].textContent = isKnown ? levels[value] ?? written(value) : unknown;
      marks[kind].hidden = !isKnown;
      marks[kind].style.left = `${high > low ? clamp((100 * (value - low)) / (high - low), 0, 100) : 50}%`;
    });
  }

  showRow(row) {
    const n = this.features.length;
    this.show("row", row < 0 ? null : this.rows.subarray(row * n, (row + 1) * n));
  }

  showDecoded(corners) {
    const n = this.features.length;
    const at = ({ up, right }, k) => this.decoded[(up * this.nodesRight + right) * n + k];
    const nearest = corners.reduce((best, corner) => (corner.weight > best.weight ? corner : best));
    this.show("decoded", this.features.map(({ levels }, k) => levels.length
      ? at(nearest, k)  // a mean of two categories is none
      : corners.reduce((sum, corner) => sum + corner.weight * at(corner, k), 0)));
  }
}
