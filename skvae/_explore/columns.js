// What colours the rows and what they are called: classes, a quantity, or names of one colour.
// A column has the colours that there are and which of them each row has, and a text for each row;
// classes have a legend, a quantity has ends. In a strip it is the vertical axis.

const SPREAD = 0.618;  // multiples of the golden section, modulo 1, fill the height of a lane evenly

const lane = (n, of) => Float32Array.from({ length: n }, (_, k) => of(k) + 0.7 * (((k * SPREAD) % 1) - 0.5));

const { shades, missing, plain } = contents.colours;

function classesColumn(title, texts, colours, codes) {
  return {
    title, texts, codes, colours, colour: codes, legend: texts,
    textOf: (row) => texts[codes[row]],
    strip: () => ({ name: title, ends: [-0.6, texts.length - 0.4], lanes: texts, heights: lane(codes.length, (k) => codes[k]) }),
  };
}

function namesColumn(title, texts, codes) {
  return {
    title, texts, codes, colours: [plain], colour: new Uint32Array(codes.length),
    textOf: (row) => texts[codes[row]],
    strip: () => ({ name: "", ends: [-0.6, 0.6], lanes: [""], heights: lane(codes.length, () => 0) }),
  };
}

function quantityColumn(title, ends, values) {
  const [low, high] = ends;
  const shade = (value) => Math.round(((value - low) / (high - low || 1)) * (shades.length - 1));
  const reach = 0.05 * (high - low) || 1;
  return {
    title, ends, values, colours: [...shades, missing],
    colour: Uint32Array.from(values, (value) => Number.isNaN(value) ? shades.length : clamp(shade(value), 0, shades.length - 1)),
    textOf: (row) => Number.isNaN(values[row]) ? "nan" : written(values[row], 6),
    strip: () => ({ name: title || "label", ends: [low - reach, high + reach], heights: values.map((value) => Number.isNaN(value) ? low : value) }),
  };
}

function labelColumn({ title, texts, codes, colours, values, ends }) {
  if (values) return quantityColumn(title, ends, unpack(values, Float32Array));
  const read = unpack(codes, Uint32Array);
  return colours.length ? classesColumn(title, texts, colours, read) : namesColumn(title, texts, read);
}

/** A feature of a table as such a column. */
function featureColumn({ name, ends, levels, colours }, values) {
  if (!levels.length) return quantityColumn(name, ends, values);
  const isComplete = values.every((value) => !Number.isNaN(value));
  const codes = Uint32Array.from(values, (value) => Number.isNaN(value) ? levels.length : value);
  const texts = isComplete ? levels : [...levels, "missing"];
  if (!colours.length) return namesColumn(name, texts, codes);
  return classesColumn(name, texts, isComplete ? colours : [...colours, missing], codes);
}
