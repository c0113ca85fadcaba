// Numbers and names as people read them.

const ODD = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]/g;

/** A name whose control characters, and what turns the direction of text, can be seen. */
export const visible = (text) =>
  text.replace(ODD, (letter) => {
    const code = letter.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? "\u2421" : `\u27e8${code.toString(16).padStart(4, "0")}\u27e9`;
  });

const whole = new Intl.NumberFormat("en");
export const count = (number) => whole.format(number);

/** "1 photo", "2 photos". */
export const counted = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

/** A share of one in percent; a trifle is never shown as all or nothing. */
export function percent(share, digits = 1) {
  const shown = (share * 100).toFixed(digits);
  if (share < 1 && Number(shown) === 100) return `>${(100 - 10 ** -digits).toFixed(digits)}\u202f%`;
  if (share > 0 && Number(shown) === 0) return `<${(10 ** -digits).toFixed(digits)}\u202f%`;
  return `${shown}\u202f%`;
}

export function seconds(value) {
  if (value < 100) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  const minutes = Math.round(value / 60);
  return minutes < 120 ? `${minutes} min` : `${(value / 3600).toFixed(1)} h`;
}

export function bytes(value) {
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["KB", 1e3]]) {
    if (value >= size) return `${(value / size).toFixed(1)} ${unit}`;
  }
  return counted(value, "byte");
}

export const moment = (iso) => iso.replace("T", " ").replace("+00:00", " UTC");

export const fileName = (path) => path.replace(/\/+$/, "").split("/").pop() || path;
