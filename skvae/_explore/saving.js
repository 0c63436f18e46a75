// Files that the page writes: the selection as CSV, the plane as PNG.

function download(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const field = (value) => (/[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value));

/** Numbers are float32: seven digits hold what they are; what is missing is empty. */
const short = (value) => (Number.isNaN(value) ? "" : Number(value.toPrecision(7)));

/** Rows with their number, components, and columns: of a quantity the value, else the text. */
function csv(chosen, plane, columns) {
  const head = ["row", ...plane.names, ...columns.map(({ title }, k) => title || (k ? `label ${k}` : "label"))];
  const lines = chosen.map((row) => [
    row,
    ...Array.from(plane.z(row), short),
    ...columns.map((column) => (column.values ? short(column.values[row]) : column.textOf(row))),
  ]);
  return [head, ...lines].map((line) => `${line.map(field).join(",")}\r\n`).join("");
}

/** The plane with the pointer left out, the title above and the legend at the right, at twice the size. */
function picture(plane, title, column) {
  const ratio = Math.max(2, plane.ratio);
  const canvas = document.createElement("canvas");
  const context = plane.context(canvas);
  const names = (column.legend ?? []).filter((_, k) => !plane.hidden.has(k));
  const ends = column.ends ? column.ends.map((end) => written(end)) : [];
  const texts = [column.title, ...names, ...ends];
  const side = names.length || ends.length ? 40 + Math.max(...texts.map((text) => context.measureText(text).width)) : 0;
  const top = 34;
  canvas.width = (plane.width + side) * ratio;
  canvas.height = (plane.height + top) * ratio;
  context.fillStyle = themed("--paper");
  context.fillRect(0, 0, canvas.width, canvas.height);
  plane.context(canvas, ratio);
  context.translate(0, top);
  plane.paint(context, ratio);
  context.textAlign = "left";
  context.fillStyle = themed("--ink");
  context.font = "600 15px system-ui, sans-serif";
  context.fillText(title, plane.margin.left, -12, plane.width - plane.margin.left);
  context.font = "12px system-ui, sans-serif";
  const left = plane.width + 14;
  if (side) context.fillText(column.title, left, 18);
  names.forEach((name, k) => {
    const y = 38 + k * Math.min(20, (plane.height - 44) / names.length);
    context.fillStyle = column.colours[column.legend.indexOf(name)];
    context.beginPath();
    context.arc(left + 5, y - 4, 5, 0, 2 * Math.PI);
    context.fill();
    context.fillStyle = themed("--ink");
    context.fillText(name, left + 16, y);
  });
  if (ends.length) {
    const height = Math.min(200, plane.height - 60);
    shades.forEach((shade, k) => {
      context.fillStyle = shade;
      context.fillRect(left, 28 + height * (1 - (k + 1) / shades.length), 14, height / shades.length + 0.5);
    });
    context.fillStyle = themed("--ink");
    context.fillText(ends[1], left + 20, 38);
    context.fillText(ends[0], left + 20, 28 + height);
  }
  return new Promise((resolve) => canvas.toBlob(resolve));
}
