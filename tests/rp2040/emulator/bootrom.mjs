// A boot ROM of our own for the emulated RP2040: the tables that the pico-sdk looks functions up in, where each
// function is `bkpt #n; bx lr` and the host does the work. (The chip's real ROM is not in any registry.)
// Sources: RP2040 data sheet 2.8.2 (layout), 2.8.3 (functions, float tables, their cycle counts), ROM version 2.

const FLASH_BASE = 0x10000000;
const ROM_VERSION = 2;
const FUNC_TABLE = 0x100;
const DATA_TABLE = 0x200;
const FLOAT_TABLE = 0x304; // the byte two before a float table is its length in words
const DOUBLE_TABLE = 0x404;
const CODE = 0x800;
const FLASH_SECTOR = 4096;

// Cycles that the real function needs, so that a measured time does not leave them out. Float figures: the averages of
// the data sheet's table; copying and setting: load and store multiple on aligned data, single bytes otherwise.
const copyCycles = (n, aligned) => 20 + (aligned ? Math.ceil(n * 0.85) : n * 5);
const setCycles = (n) => 20 + Math.ceil(n * 0.4);
// W25Q16JV data sheet 9.6, typical: a 4 KiB sector is erased in 45 ms, a 256-byte page programmed in 0.4 ms.
const ERASE_MS = 45;
const PROGRAM_S = 0.0004;

/**
 * Builds the ROM image and the service routine for its breakpoints: `{image: Uint32Array, serve(chip, n)}`.
 *
 * eraseMs: what a sector's erase takes (the worst that the data sheet allows: 400). cut: {at, seed}: the power goes in
 * the middle of the flash write of that number (1: the next one), and leaves it torn.
 */
export function makeBootrom({ eraseMs = ERASE_MS, cut = null } = {}) {
  const bytes = new Uint8Array(16 * 1024);
  const view = new DataView(bytes.buffer);
  const services = [];
  const entry = (service) => {
    const n = services.push(service) - 1;
    const address = CODE + 4 * n;
    view.setUint16(address, 0xbe00 | n, true); // bkpt #n
    view.setUint16(address + 2, 0x4770, true); // bx lr
    return address + 1; // Thumb
  };

  let at = FUNC_TABLE;
  const table = (code, pointer) => {
    view.setUint16(at, code.charCodeAt(0) | (code.charCodeAt(1) << 8), true);
    view.setUint16(at + 2, pointer, true);
    at += 4;
  };
  for (const [code, service] of Object.entries(FUNCTIONS)) table(code, entry(service));
  at = DATA_TABLE;
  table('SF', FLOAT_TABLE);
  table('SD', DOUBLE_TABLE);
  for (const [base, codec] of [[FLOAT_TABLE, single], [DOUBLE_TABLE, double]]) {
    view.setUint8(base - 2, 0x20);
    for (let slot = 0; slot < 0x20; slot++) {
      const [name, cycles, operation] = FLOAT_OPERATIONS[slot];
      const service = (chip) => {
        operation(codec, chip);
        chip.spend(codec.slower * cycles);
      };
      Object.defineProperty(service, 'name', { value: name });
      view.setUint32(base + 4 * slot, entry(service), true);
    }
  }

  view.setUint32(0x00, 0x20042000, true); // initial stack, and a reset vector that nothing takes:
  view.setUint32(0x04, entry((chip) => chip.fail('jumped to the boot ROM')), true); // the chip starts in flash
  view.setUint32(0x08, entry((chip) => chip.fail('NMI in the boot ROM')), true);
  view.setUint32(0x0c, entry((chip) => chip.fail('hard fault in the boot ROM')), true);
  view.setUint32(0x10, 0x0001754d | (ROM_VERSION << 24), true); // 'M' 'u' 1 version
  view.setUint16(0x14, FUNC_TABLE, true);
  view.setUint16(0x16, DATA_TABLE, true);
  view.setUint16(0x18, entry(tableLookup), true);

  return {
    image: new Uint32Array(bytes.buffer),
    serve(chip, n) {
      const pc = (chip.core.PC - 2) >>> 0; // the core has already stepped over the instruction
      if (pc < CODE || pc >= CODE + 4 * services.length) {
        chip.fail(`breakpoint ${n} at 0x${pc.toString(16)}`);
        return;
      }
      services[n](chip);
    },
    eraseMs,
    cut,
  };
}

/** A flash write is due: true when the power goes in its middle. */
function torn(chip) {
  chip.flashWrites++;
  return chip.rom.cut !== null && --chip.rom.cut.at === 0;
}

/**
 * The power goes while [offset, offset + count) is on its way from what is there to `wanted(i)`: what lies before a
 * drawn place has arrived, what lies behind it has not, and the octets around it (a page programs, a sector is erased, all
 * at once) have some of their bits. Drawn from the seed by mulberry32's steps; one write in eight is over, or not begun.
 */
function tear(chip, offset, count, wanted) {
  let state = chip.rom.cut.seed >>> 0;
  const draw = (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
  const kind = draw(16);
  const place = kind === 0 ? 0 : kind === 1 ? count : draw(count);
  const blurred = kind < 2 ? 0 : draw(64);
  for (let i = 0; i < count; i++) {
    const [old, next] = [chip.flash[offset + i], wanted(i)];
    if (i < place) chip.flash[offset + i] = next;
    else if (i < place + blurred) chip.flash[offset + i] = old ^ ((old ^ next) & draw(256)); // some bits have moved
  }
  chip.off = chip.stopped = true;
}

function tableLookup(chip) {
  const [table, code] = chip.registers;
  let address = table;
  let found = 0;
  while (chip.read16(address)) {
    if (chip.read16(address) === code) {
      found = chip.read16(address + 2);
      break;
    }
    address += 4;
  }
  chip.registers[0] = found;
  chip.spend(4 * (1 + (address - table) / 4));
}

function memcpy(chip) {
  const [to, from, n] = chip.registers;
  chip.copy(to, from, n);
  chip.spend(copyCycles(n, ((to ^ from) & 3) === 0));
}

function memset(chip) {
  const [to, value, n] = chip.registers;
  chip.set(to, value & 0xff, n);
  chip.spend(setCycles(n));
}

function unary(cycles, compute) {
  return (chip) => {
    chip.registers[0] = compute(chip.registers[0]);
    chip.spend(cycles);
  };
}

function reverse(x) {
  let y = 0;
  for (let i = 0; i < 32; i++) y |= ((x >>> i) & 1) << (31 - i);
  return y;
}

function popcount(x) {
  let n = 0;
  for (; x; x = (x & (x - 1)) >>> 0) n++;
  return n;
}

const FUNCTIONS = {
  P3: unary(18, popcount),
  R3: unary(21, reverse),
  L3: unary(16, (x) => Math.clz32(x)),
  T3: unary(16, (x) => (x ? 31 - Math.clz32(x & -x) : 32)),
  MC: memcpy,
  C4: memcpy,
  MS: memset,
  S4: memset,
  IF() {}, // connect internal flash, leave XIP, flush the cache, enter XIP: the emulated flash is always readable
  EX() {},
  FC() {},
  CX() {},
  RE(chip) {
    const [offset, count] = chip.registers;
    if (offset % FLASH_SECTOR || count % FLASH_SECTOR || offset + count > chip.flash.length) {
      chip.fail(`flash erase of ${count} at ${offset}`);
      return;
    }
    if (torn(chip)) return tear(chip, offset, count, () => 0xff);
    chip.flash.fill(0xff, offset, offset + count);
    chip.spendSeconds((chip.rom.eraseMs * count) / FLASH_SECTOR / 1000);
  },
  RP(chip) {
    const [offset, source, count] = chip.registers;
    if (offset % 256 || count % 256 || offset + count > chip.flash.length || source >>> 28 === FLASH_BASE >>> 28) {
      chip.fail(`flash program of ${count} at ${offset} from 0x${source.toString(16)}`);
      return;
    }
    const programmed = (i) => chip.flash[offset + i] & chip.read8(source + i); // NOR: bits only go to 0
    if (torn(chip)) return tear(chip, offset, count, programmed);
    for (let i = 0; i < count; i++) chip.flash[offset + i] = programmed(i);
    chip.spendSeconds((PROGRAM_S * count) / 256);
  },
  UB(chip) {
    chip.fail('machine.bootloader(): there is no USB boot here');
  },
};

// How numbers lie in registers: a single in one, a double in two. `slower`: doubles against singles, about.
const scratch = new DataView(new ArrayBuffer(8));
const single = {
  words: 1,
  slower: 1,
  get(r, i) {
    if (((r[i] >>> 23) & 0xff) === 0) return r[i] >>> 31 ? -0 : 0; // the ROM takes denormals as zero
    scratch.setUint32(0, r[i]);
    return scratch.getFloat32(0);
  },
  put(r, i, x) {
    scratch.setFloat32(0, x);
    const bits = scratch.getUint32(0);
    r[i] = ((bits >>> 23) & 0xff) === 0 ? bits & 0x80000000 : bits;
  },
};
const double = {
  words: 2,
  slower: 1.8,
  get(r, i) {
    if (((r[i + 1] >>> 20) & 0x7ff) === 0) return r[i + 1] >>> 31 ? -0 : 0;
    scratch.setUint32(0, r[i + 1]);
    scratch.setUint32(4, r[i]);
    return scratch.getFloat64(0);
  },
  put(r, i, x) {
    scratch.setFloat64(0, x);
    const high = scratch.getUint32(0);
    const normal = ((high >>> 20) & 0x7ff) !== 0;
    r[i] = normal ? scratch.getUint32(4) : 0;
    r[i + 1] = normal ? high : high & 0x80000000;
  },
};

const two = (compute) => (f, chip) => {
  const r = chip.registers;
  f.put(r, 0, compute(f.get(r, 0), f.get(r, f.words)));
};
const one = (compute) => (f, chip) => f.put(chip.registers, 0, compute(f.get(chip.registers, 0)));
const order = (x, y) => (x < y ? -1 : x > y ? 1 : 0);
const compare = (f, chip) => {
  const r = chip.registers;
  r[0] = order(f.get(r, 0), f.get(r, f.words));
};
const compareFlags = (f, chip) => {
  const r = chip.registers;
  const result = order(f.get(r, 0), f.get(r, f.words));
  chip.core.N = result < 0;
  chip.core.Z = result === 0;
  chip.core.C = result >= 0;
  chip.core.V = false;
};

// Float to integer or fixed point: towards minus infinity, clamped (data sheet 2.8.3.2). NaN counts as infinity.
function clampFloor(x, low, high) {
  if (Number.isNaN(x)) return high;
  if (!Number.isFinite(x)) return x < 0 ? low : high;
  const whole = BigInt(Math.floor(x));
  return whole < low ? low : whole > high ? high : whole;
}
const toInteger = (bits, signed, fixed) => (f, chip) => {
  const r = chip.registers;
  const scaled = f.get(r, 0) * (fixed ? 2 ** (r[f.words] | 0) : 1);
  const low = signed ? -(1n << BigInt(bits - 1)) : 0n;
  const high = signed ? (1n << BigInt(bits - 1)) - 1n : (1n << BigInt(bits)) - 1n;
  const value = BigInt.asUintN(64, clampFloor(scaled, low, high));
  r[0] = Number(value & 0xffffffffn);
  if (bits === 64) r[1] = Number(value >> 32n);
};
const fromInteger = (bits, signed, fixed) => (f, chip) => {
  const r = chip.registers;
  let value = bits === 64 ? (BigInt(r[1]) << 32n) | BigInt(r[0]) : BigInt(r[0]);
  if (signed) value = BigInt.asIntN(bits, value);
  const scale = fixed ? 2 ** -(r[bits / 32] | 0) : 1;
  f.put(r, 0, (f.words === 1 ? roundToSingle(value) : Number(value)) * scale);
};

// A 64-bit integer to a single in one rounding (by way of a double it would be two): keep 64 - 2 bits and a sticky bit.
function roundToSingle(value) {
  const magnitude = value < 0n ? -value : value;
  const spare = magnitude.toString(2).length - 32;
  if (spare <= 0) return Math.fround(Number(value));
  const sticky = magnitude & ((1n << BigInt(spare)) - 1n) ? 1n : 0n;
  const kept = Number((magnitude >> BigInt(spare)) | sticky) * 2 ** spare;
  return Math.fround(value < 0n ? -kept : kept);
}

const widen = (f, chip) => {
  const r = chip.registers;
  if (f === single) double.put(r, 0, single.get(r, 0));
  else single.put(r, 0, double.get(r, 0));
};
const missing = (f, chip) => chip.fail('a float function that ROM version 2 does not have');

// In the order of the table: name, cycles, what it does.
const FLOAT_OPERATIONS = [
  ['add', 71, two((x, y) => x + y)],
  ['sub', 74, two((x, y) => x - y)],
  ['mul', 69, two((x, y) => x * y)],
  ['div', 71, two((x, y) => x / y)],
  ['cmp_fast', 39, compare],
  ['cmp_fast_flags', 39, compareFlags],
  ['sqrt', 63, one(Math.sqrt)],
  ['to_int', 37, toInteger(32, true, false)],
  ['to_fix', 41, toInteger(32, true, true)],
  ['to_uint', 37, toInteger(32, false, false)],
  ['to_ufix', 41, toInteger(32, false, true)],
  ['from_int', 55, fromInteger(32, true, false)],
  ['from_fix', 55, fromInteger(32, true, true)],
  ['from_uint', 55, fromInteger(32, false, false)],
  ['from_ufix', 55, fromInteger(32, false, true)],
  ['cos', 587, one(Math.cos)],
  ['sin', 587, one(Math.sin)],
  ['tan', 669, one(Math.tan)],
  ['sincos', 0, missing],
  ['exp', 542, one(Math.exp)],
  ['ln', 524, one(Math.log)],
  ['cmp_basic', 39, compare],
  ['atan2', 599, two(Math.atan2)],
  ['from_int64', 65, fromInteger(64, true, false)],
  ['from_fix64', 65, fromInteger(64, true, true)],
  ['from_uint64', 65, fromInteger(64, false, false)],
  ['from_ufix64', 65, fromInteger(64, false, true)],
  ['to_int64', 53, toInteger(64, true, false)],
  ['to_fix64', 53, toInteger(64, true, true)],
  ['to_uint64', 53, toInteger(64, false, false)],
  ['to_ufix64', 53, toInteger(64, false, true)],
  ['convert', 30, widen],
];
