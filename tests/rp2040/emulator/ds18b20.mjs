// A DS18B20 at a pin of the emulated chip, by the times of the bus: it sees the line fall and rise, and pulls it down
// itself. From the data sheet (Analog Devices 19-7487), figures 13 to 16: reset 480 us, presence 60 to 240 us after 15 to
// 60; a slot that is low for less than 15 us is a 1 or one to read, in which a 0 stays low for 15 us from the fall on.

import { Buffer } from 'node:buffer';

const [RESET_US, ONE_US, ZERO_US] = [480, 15, 120];
const [PRESENCE_AFTER_US, PRESENCE_US, HOLD_US] = [30, 120, 30];
const [SEARCH, MATCH, SKIP, CONVERT, READ, WRITE, POWER] = [0xf0, 0x55, 0xcc, 0x44, 0xbe, 0x4e, 0xb4];
const CONVERSION_US = [93_750, 187_500, 375_000, 750_000];

function crc8(octets) {
  let crc = 0;
  for (const octet of octets) {
    crc ^= octet;
    for (let i = 0; i < 8; i++) crc = (crc >> 1) ^ (crc & 1 ? 0x8c : 0);
  }
  return crc;
}

export class DS18B20 {
  /** rom: 16 hexadecimal digits. celsius may be changed. Several at one pin do not see each other pull. */
  constructor(chip, pin, rom, celsius) {
    this.chip = chip;
    this.rom = Buffer.from(rom, 'hex');
    this.celsius = celsius;
    this.scratch = Buffer.from('50054b467fff0c10', 'hex'); // 85 degrees: it has not converted
    this.gpio = chip.mcu.gpio[pin];
    this.low = false; // the master pulls
    this.fellUs = 0;
    this.mode = 'quiet';
    this.bits = [];
    this.doneUs = 0;
    this.wanted = null;
    this.release = chip.clock.createAlarm(() => this.gpio.setInputValue(!this.low));
    this.presence = chip.clock.createAlarm(() => this.pull(PRESENCE_US));
    this.gpio.addListener(() => this.look());
    this.gpio.setInputValue(true); // the pull-up of the bus
  }

  pull(us) {
    this.gpio.setInputValue(false);
    this.release.schedule(us * 1000);
  }

  look() {
    const low = this.gpio.outputEnable && !this.gpio.outputValue;
    if (low === this.low) return;
    this.low = low;
    const now = this.chip.micros;
    if (low) {
      this.fellUs = now;
      this.gpio.setInputValue(false);
      if (this.sends() && !this.next()) this.pull(HOLD_US);
      return;
    }
    const width = now - this.fellUs;
    if (!this.heldLow) this.gpio.setInputValue(true);
    if (width >= RESET_US) {
      this.mode = 'rom';
      this.bits = [];
      this.gpio.setInputValue(true);
      this.presence.schedule(PRESENCE_AFTER_US * 1000);
    } else if (this.heldLow) {
      this.gpio.setInputValue(false); // until `release`
      this.heldLow = false;
    } else if (!this.sent && width <= ZERO_US) {
      this.take(width < ONE_US ? 1 : 0);
    }
    this.sent = false;
  }

  sends() {
    return this.mode === 'send' || this.mode === 'power' || (this.mode === 'search' && this.bits.length % 3 !== 2);
  }

  /** The bit of this slot, which the master reads. */
  next() {
    this.sent = true;
    let bit = 1;
    if (this.mode === 'search') {
      const at = Math.floor(this.bits.length / 3);
      bit = (this.rom[at >> 3] >> (at & 7)) & 1;
      if (this.bits.length % 3 === 1) bit = 1 - bit;
      this.bits.push(bit);
    } else if (this.mode === 'send' && this.at < this.out.length * 8) {
      bit = (this.out[this.at >> 3] >> (this.at & 7)) & 1;
      this.at++;
    }
    this.heldLow = !bit;
    return bit;
  }

  /** A bit that the master wrote. */
  take(bit) {
    this.bits.push(bit);
    const n = this.bits.length;
    if (this.mode === 'match') {
      if (((this.rom[(n - 1) >> 3] >> ((n - 1) & 7)) & 1) !== bit) this.mode = 'quiet';
      else if (n === 64) this.turn('function');
    } else if (this.mode === 'search') {
      const at = (n - 3) / 3;
      if (((this.rom[at >> 3] >> (at & 7)) & 1) !== bit) this.mode = 'quiet';
      else if (n === 192) this.turn('function');
    } else if (this.mode === 'write' && n === 24) {
      const octets = this.octets();
      this.scratch[2] = octets[0];
      this.scratch[3] = octets[1];
      this.scratch[4] = (octets[2] & 0x60) | 0x1f;
      this.mode = 'quiet';
    } else if (n === 8 && (this.mode === 'rom' || this.mode === 'function')) {
      const [octet] = this.octets();
      if (this.mode === 'rom') this.turn({ [SKIP]: 'function', [MATCH]: 'match', [SEARCH]: 'search' }[octet] ?? 'quiet');
      else this.command(octet);
    }
  }

  turn(mode) {
    this.mode = mode;
    this.bits = [];
  }

  octets() {
    const found = [];
    this.bits.forEach((bit, i) => (found[i >> 3] = (found[i >> 3] ?? 0) | (bit << (i & 7))));
    return found;
  }

  command(octet) {
    const now = this.chip.micros;
    if (octet === CONVERT) {
      const fraction = 3 - ((this.scratch[4] >> 5) & 3);
      this.wanted = (Math.round(this.celsius * 16) >> fraction) << fraction;
      this.doneUs = now + CONVERSION_US[3 - fraction];
      this.mode = 'quiet';
    } else if (octet === READ) {
      if (this.wanted !== null && now >= this.doneUs) {
        this.scratch.writeInt16LE(this.wanted);
        this.wanted = null;
      }
      this.out = Buffer.from([...this.scratch, crc8(this.scratch)]);
      this.at = 0;
      this.mode = 'send';
    } else this.turn({ [WRITE]: 'write', [POWER]: 'power' }[octet] ?? 'quiet');
  }
}
