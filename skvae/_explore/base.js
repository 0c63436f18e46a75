// What all scripts share. They are joined into one module, so that nothing is global.
const byId = (id) => document.getElementById(id);

const contents = JSON.parse(byId("contents").textContent);

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** Read numbers from the bytes that Python packed. */
function unpack(base64, Type) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new Type(bytes.buffer);
}

/** Text from the user is only ever text. */
function make(tag, className = "", text = "", children = []) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(text, ...children);
  return element;
}

const minus = (text) => text.replace("-", "−");

/** Write a number with four digits, or as many as are wanted. */
function written(value, digits = 4) {
  const size = Math.abs(value);
  const isFar = size !== 0 && (size < 1e-3 || size >= 1e6);
  return minus(isFar ? value.toExponential(digits - 2) : String(Number(value.toPrecision(digits))));
}

/** Return round values between two ends, about so many. */
function ticks([low, high], count) {
  const least = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((k) => k * power).find((size) => size >= least);
  const first = Math.ceil(low / step);
  const n = Math.floor(high / step) - first + 1;
  return Array.from({ length: Math.max(n, 0) }, (_, k) => (first + k) * step);
}

/** Look a colour up in the style sheet, which knows whether the page is light or dark. */
const themed = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
