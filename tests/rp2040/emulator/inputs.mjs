// What hangs at the pins and UARTs of the emulated chip, by its clock: a BL0942 with its load, a Modbus slave, pulses, a
// level, and a record of edges.

import { Buffer } from 'node:buffer';

const LAST_EDGES = 64;

/** When the pin `gpio` was moved by the chip: [us, level], the latest ones. */
export class Edges {
  constructor(chip, pin) {
    this.rows = [];
    const gpio = chip.mcu.gpio[pin];
    let level = gpio.outputEnable && gpio.outputValue;
    gpio.addListener(() => {
      const now = gpio.outputEnable && gpio.outputValue;
      if (now === level) return;
      level = now;
      this.rows.push([chip.micros, now ? 1 : 0]);
      if (this.rows.length > LAST_EDGES) this.rows.shift();
    });
  }
}

/** Sends octets to a UART of the chip one after the other, as long as each takes on the line; then calls `over`. */
export class Line {
  constructor(chip, number) {
    this.uart = chip.mcu.uart[number];
    this.queue = [];
    this.busy = false;
    this.alarm = chip.clock.createAlarm(() => {
      this.uart.receive(this.queue.shift());
      this.busy = false;
      if (!this.queue.length) this.over?.();
      this.next();
    });
  }

  send(octets) {
    this.queue.push(...octets);
    this.next();
  }

  next() {
    if (this.busy || !this.queue.length) return;
    this.busy = true;
    this.alarm.schedule((10 * 1e9) / this.uart.baudRate);
  }
}

/**
 * A BL0942 (Shanghai Belling, data sheet V1.06, section 5) behind a relay at pin `relay`, with a load. It answers the
 * read of all registers; the frame holds what it measures as the request comes in, each answer a bit later than the one
 * before, up to 25 ms: so that it comes at any moment of a loop.
 *
 * loads: rows [frames, power in W, current in mA] while the contact is closed, again from the start after the last one.
 * 230 V and 50 Hz, with the nominal counts of the firmware's driver. `overs`: the moments, in us, when the last octets
 * of the frames of the last row were over.
 */
export class BL0942 {
  constructor(chip, number, relay, loads) {
    this.chip = chip;
    this.line = new Line(chip, number);
    this.gpio = chip.mcu.gpio[relay];
    this.loads = loads;
    this.count = 0; // CF_CNT
    this.seen = 0;
    this.frames = 0; // with the contact closed
    this.answers = 0;
    this.overs = [];
    this.request = [];
    this.frame = null;
    const alarm = chip.clock.createAlarm(() => this.line.send(this.frame));
    this.line.over = () => this.last && this.overs.push(chip.micros);
    this.line.uart.onByte = (octet) => {
      this.request = [...this.request.slice(-1), octet];
      if (this.request[0] !== 0x58 || this.request[1] !== 0xaa) return;
      this.request = [];
      this.measure();
      alarm.schedule(((this.answers * 1.7) % 25) * 1e6);
    };
  }

  row() {
    let left = this.frames % this.loads.reduce((sum, [frames]) => sum + frames, 0);
    return this.loads.findIndex(([frames]) => (left -= frames) < 0);
  }

  measure() {
    const closed = this.gpio.outputEnable && this.gpio.outputValue;
    const row = this.row();
    const [, watts, ma] = closed ? this.loads[row] : [0, 0, 0];
    const now = this.chip.micros;
    const watt = Math.round((watts * 623373) / 1000);
    this.count += ((now - this.seen) / 1e6) * (watt / 419430.4);
    this.seen = now;
    const frame = Buffer.alloc(23);
    frame[0] = 0x55;
    frame.writeUIntLE(Math.round((ma * 251213) / 1000), 1, 3);
    frame.writeUIntLE(Math.round(230 * 15883), 4, 3);
    frame.writeUIntLE(watt, 10, 3);
    frame.writeUIntLE(Math.floor(this.count) & 0xffffff, 13, 3);
    frame.writeUInt16LE(20000, 16);
    frame[22] = ~frame.reduce((sum, octet) => sum + octet, 0x58) & 0xff;
    this.frame = frame;
    this.answers++;
    this.last = closed && row === this.loads.length - 1;
    if (closed) this.frames++;
  }
}

/**
 * A Modbus slave on a UART (MODBUS over serial line V1.02): functions 3 and 4 read `registers` ({address: value}, 0 where
 * there is none), 6 writes one. What is for other addresses or has a wrong CRC is not answered. `heard`: the requests, in
 * hex.
 */
export class ModbusSlave {
  constructor(chip, number, address, registers, afterUs) {
    this.line = new Line(chip, number);
    this.registers = registers;
    this.heard = [];
    let got = [];
    let reply = null;
    const alarm = chip.clock.createAlarm(() => this.line.send(reply));
    const silence = chip.clock.createAlarm(() => (got = []));
    this.line.uart.onByte = (octet) => {
      got.push(octet);
      silence.schedule(5e6);
      if (got.length < 8) return;
      const request = Buffer.from(got.splice(0));
      this.heard.push(request.toString('hex'));
      if (request[0] !== address || crc16(request)) return;
      reply = this.answer(request);
      alarm.schedule(afterUs * 1000);
    };
  }

  answer(request) {
    const at = request.readUInt16BE(2);
    const n = request.readUInt16BE(4);
    let body = request.subarray(0, 6);
    if (request[1] === 6) this.registers[at] = n;
    else {
      body = Buffer.alloc(3 + 2 * n);
      body.set([request[0], request[1], 2 * n]);
      for (let i = 0; i < n; i++) body.writeUInt16BE(this.registers[at + i] ?? 0, 3 + 2 * i);
    }
    const crc = crc16(body);
    return Buffer.from([...body, crc & 255, crc >> 8]);
  }
}

function crc16(octets) {
  let crc = 0xffff;
  for (const octet of octets) {
    crc ^= octet;
    for (let i = 0; i < 8; i++) crc = (crc >> 1) ^ (crc & 1 ? 0xa001 : 0);
  }
  return crc;
}

/** Calls when the chip drives its pin `gate` high: emulated time runs on while the workstation prepares things. */
function onceHigh(chip, gate, call) {
  const gpio = chip.mcu.gpio[gate];
  const forget = gpio.addListener(() => {
    if (!gpio.outputEnable || !gpio.outputValue) return;
    forget();
    call();
  });
}

/** `count` pulses at a pin, active high, `periodUs` apart, from the moment on when the pin `gate` goes high. */
export class Pulses {
  constructor(chip, gate, pin, periodUs, highUs, count) {
    this.sent = 0;
    const gpio = chip.mcu.gpio[pin];
    let level = false;
    const alarm = chip.clock.createAlarm(() => {
      level = !level;
      gpio.setInputValue(level);
      if (level) this.sent++;
      if (level || this.sent < count) alarm.schedule((level ? highUs : periodUs - highUs) * 1000);
    });
    gpio.setInputValue(false);
    onceHigh(chip, gate, () => alarm.schedule((periodUs - highUs) * 1000));
  }
}

/** Puts a pin to a level, `afterUs` after the pin `gate` went high, for `forUs` (0: for good); `us`: when that was. */
export class Level {
  constructor(chip, gate, pin, level, afterUs, forUs) {
    this.us = null;
    const gpio = chip.mcu.gpio[pin];
    gpio.setInputValue(!level);
    const back = chip.clock.createAlarm(() => gpio.setInputValue(!level));
    const alarm = chip.clock.createAlarm(() => {
      gpio.setInputValue(!!level);
      this.us = chip.micros;
      if (forUs) back.schedule(forUs * 1000);
    });
    onceHigh(chip, gate, () => alarm.schedule(afterUs * 1000));
  }
}
