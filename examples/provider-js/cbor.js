// CBOR (RFC 8949) as provider components speak it: one item, maps with text keys,
// definite lengths, no tags. It is used inside the component, where there is no
// package loader, and by the build.

const MAX_DEPTH = 64;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

// encode gives the deterministic form (section 4.2.1) of null, booleans, whole
// numbers that a double holds exactly, strings, bytes, arrays and plain objects.
// Members that are undefined are left out.
export function encode(value) {
  const out = [];
  write(out, value);
  return Uint8Array.from(out);
}

function write(out, value) {
  if (value === null) return void out.push(0xf6);
  if (value === false) return void out.push(0xf4);
  if (value === true) return void out.push(0xf5);
  if (Number.isSafeInteger(value)) return value < 0 ? head(out, 1, -1 - value) : head(out, 0, value);
  if (typeof value === "string") return text(out, value);
  if (value instanceof Uint8Array) {
    head(out, 2, value.length);
    return append(out, value);
  }
  if (Array.isArray(value)) {
    head(out, 4, value.length);
    return value.forEach((item) => write(out, item));
  }
  if (typeof value === "object") {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([name, member]) => [encode(name), member])
      .sort(([a], [b]) => compare(a, b));
    head(out, 5, members.length);
    return members.forEach(([name, member]) => {
      append(out, name);
      write(out, member);
    });
  }
  throw new TypeError(`CBOR: ${typeof value} ${String(value)} cannot be written`);
}

function text(out, value) {
  const bytes = new TextEncoder().encode(value);
  head(out, 3, bytes.length);
  append(out, bytes);
}

// head writes a major type and its argument in the fewest bytes.
function head(out, major, n) {
  const first = major << 5;
  if (n < 24) return void out.push(first | n);
  const size = n < 2 ** 8 ? 1 : n < 2 ** 16 ? 2 : n < 2 ** 32 ? 4 : 8;
  out.push(first | (24 + Math.log2(size)));
  for (let i = size - 1; i >= 0; i--) out.push(Math.floor(n / 2 ** (8 * i)) % 256);
}

function append(out, bytes) {
  for (const b of bytes) out.push(b);
}

function compare(a, b) {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

// decode reads one item and nothing behind it. Maps become objects without a
// prototype. Whole numbers that a double does not hold exactly become BigInt.
// What is malformed throws a SyntaxError.
export function decode(bytes) {
  const reader = { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), at: 0 };
  const value = read(reader, 0);
  if (reader.at !== bytes.length) throw fault(reader, "more than one item");
  return value;
}

function read(reader, depth) {
  if (depth > MAX_DEPTH) throw fault(reader, `more than ${MAX_DEPTH} levels`);
  const first = reader.bytes[take(reader, 1)];
  const major = first >> 5;
  const info = first & 31;
  if (major === 7) return simple(reader, info);
  const n = argument(reader, info);
  switch (major) {
    case 0:
      return n;
    case 1:
      return typeof n === "bigint" || n === Number.MAX_SAFE_INTEGER ? -1n - BigInt(n) : -1 - n;
    case 2:
      return slice(reader, n).slice();
    case 3:
      try {
        return utf8.decode(slice(reader, n));
      } catch (error) {
        throw error instanceof SyntaxError ? error : fault(reader, "text that is not UTF-8");
      }
    case 4: {
      const list = [];
      for (let i = 0; i < n; i++) list.push(read(reader, depth + 1));
      return list;
    }
    case 5: {
      const map = Object.create(null);
      for (let i = 0; i < n; i++) {
        const name = read(reader, depth + 1);
        if (typeof name !== "string") throw fault(reader, "a key that is no text");
        if (name in map) throw fault(reader, "a key twice");
        map[name] = read(reader, depth + 1);
      }
      return map;
    }
  }
  throw fault(reader, "a tag");
}

// argument is the number in or behind the first byte of an item.
function argument(reader, info) {
  if (info < 24) return info;
  switch (info) {
    case 24:
      return reader.view.getUint8(take(reader, 1));
    case 25:
      return reader.view.getUint16(take(reader, 2));
    case 26:
      return reader.view.getUint32(take(reader, 4));
    case 27: {
      const n = reader.view.getBigUint64(take(reader, 8));
      return n <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(n) : n;
    }
  }
  throw fault(reader, "an indefinite length");
}

function simple(reader, info) {
  switch (info) {
    case 20:
      return false;
    case 21:
      return true;
    case 22:
      return null;
    case 25:
      return half(reader.view.getUint16(take(reader, 2)));
    case 26:
      return reader.view.getFloat32(take(reader, 4));
    case 27:
      return reader.view.getFloat64(take(reader, 8));
  }
  throw fault(reader, "a simple value");
}

function half(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 0x3ff;
  const size =
    exponent === 31 ? (fraction ? NaN : Infinity)
    : exponent === 0 ? fraction * 2 ** -24
    : (1024 + fraction) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -size : size;
}

function slice(reader, n) {
  const start = take(reader, n);
  return reader.bytes.subarray(start, reader.at);
}

// take steps over n bytes that must be there, and says where they begin.
function take(reader, n) {
  const start = reader.at;
  if (n > reader.bytes.length - start) throw fault(reader, "the end");
  reader.at += n;
  return start;
}

function fault(reader, what) {
  return new SyntaxError(`CBOR: ${what} at byte ${reader.at}`);
}
