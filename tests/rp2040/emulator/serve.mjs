// Runs one emulated RP2040 and gives it to the outside: its USB serial port as a TCP port on 127.0.0.1 (for
// `mpremote connect socket://…`), and a control channel of JSON lines on stdin and stdout. Ends when stdin closes, so
// it never outlives who started it.
//
//   node serve.mjs RP2040JS_MODULE FIRMWARE.BIN FLASH_FILE [{"eraseMs": 45, "held": false, "seed": 0, "id": "…16 hex…"}]
//
// Commands: {"do": name, "id": n, …}; each is answered by one line with that id. COMMANDS below has them all. Those that
// hang something at a pin or a UART (ds18b20, bl0942, modbus, pulses, level, watch, drive) hold until the next reset;
// `wire` takes a list of them that every start of the chip has from its first instruction on.
//
// A board runs freely, as fast as the host lets it, until `hold`: from then on its time stands still but for `advance`,
// which lets it run until a moment of its own clock (or until it has said an octet), with what it says and hears on the
// serial port in the command and the answer. So an EMD on this side is as quick as nothing, whatever the host is doing, and
// idle time costs nothing with the watchdog running, too. `free` ends it.

import { Buffer } from 'node:buffer';
import fs from 'node:fs';
import net from 'node:net';
import readline from 'node:readline';
import { pathToFileURL } from 'node:url';
import { Chip, FLASH_SIZE } from './chip.mjs';
import { DS18B20 } from './ds18b20.mjs';
import { BL0942, Edges, Level, ModbusSlave, Pulses } from './inputs.mjs';

const [modulePath, firmwareFile, flashFile, options = '{}'] = process.argv.slice(2);
const js = await import(pathToFileURL(modulePath));
const say = (message) => process.stdout.write(JSON.stringify(message) + '\n');

const { eraseMs, id, held: startHeld = false, seed = 0 } = JSON.parse(options);
const flash = new Uint8Array(FLASH_SIZE).fill(0xff);
if (fs.existsSync(flashFile)) flash.set(fs.readFileSync(flashFile).subarray(0, FLASH_SIZE));
const firmware = fs.readFileSync(firmwareFile);
flash.fill(0xff, 0, Math.ceil(firmware.length / 4096) * 4096);
flash.set(firmware);

let chip = null; // null: switched off
let client = null;
let boots = 0;
let scheduled = null;
let wasConnected = false;
let stopped = false;
let held = startHeld;
let grant = null; // of `advance`: {id, until, stop}
let heard = []; // Buffers that a held chip has sent
let wired = []; // commands that each start begins with
let cut = null; // {at, seed}: where the power goes

function boot(carried) {
  boots++;
  wasConnected = false;
  chip = new Chip(js, flash, carried, {
    output(bytes) {
      if (held) {
        heard.push(bytes);
        if (grant !== null && grant.stop !== null && bytes.includes(grant.stop)) chip.said = chip.stopped = true;
      } else client?.write(bytes);
    },
  }, { eraseMs, cut, id }, seed + boots);
  for (const part of wired) commands[part.do](part);
}

function dropClient() {
  client?.destroy();
  client = null;
}

function save() {
  const temporary = flashFile + '.new';
  fs.writeFileSync(temporary, flash);
  fs.renameSync(temporary, flashFile);
}

function wake() {
  if (scheduled === null && !stopped) scheduled = setImmediate(work);
}

function work() {
  scheduled = null;
  if (stopped || chip === null || (held && grant === null)) return;
  const result = held ? chip.run(grant.until * 1000) : chip.run();
  if (!wasConnected && chip.usb.connected) {
    wasConnected = true;
    say({ event: 'usb', boots });
  }
  if (result === 'run') {
    wake();
  } else if (result === 'reset') {
    const carried = chip.resetWith;
    dropClient(); // the serial port disappears for a moment
    say({ event: 'reset', reason: carried.reason });
    granted(result);
    boot(carried);
    wake();
  } else if (result === 'off') {
    const { flashWrites } = chip;
    dropClient();
    cut = null;
    say({ event: 'off', flash_writes: flashWrites });
    granted(result);
    chip = null;
  } else if (result === 'failed') {
    say({ event: 'failed', text: chip.failure, pc: chip.core.PC >>> 0 });
    stop(1);
  } else if (held) {
    granted(result);
  } else if (result !== 'idle') {
    const sleeper = chip;
    const nanos = Math.min(result.idleNanos, 20e6);
    setTimeout(() => {
      if (sleeper === chip && !stopped && !held) {
        if (chip.core.waiting) chip.sleep(nanos);
        wake();
      }
    }, nanos / 1e6);
  }
}

/** The time that `advance` gave is over, or what it waited for has come. */
function granted(why) {
  if (grant === null) return;
  const { id } = grant;
  grant = null;
  say({ id, why, micros: chip.micros, said: taken() });
}

function taken() {
  const all = Buffer.concat(heard).toString('hex');
  heard = [];
  return all;
}

const server = net.createServer((socket) => {
  dropClient();
  client = socket;
  socket.setNoDelay(true);
  socket.on('data', (bytes) => {
    chip?.usb.write(bytes);
    wake();
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    if (client === socket) client = null;
  });
});

function stop(code = 0) {
  if (stopped) return;
  stopped = true;
  if (scheduled !== null) clearImmediate(scheduled);
  dropClient();
  server.close();
  process.stdout.write('', () => process.exit(code));
}

const commands = {
  status() {
    return {
      boots,
      off: chip === null,
      cycles: chip?.cycles, // since this boot
      micros: chip?.micros, // emulated, since this boot
      clk_sys: chip?.mcu.clkSys,
      flash_writes: chip?.flashWrites, // erases and programs, since this boot
      connected: !!chip?.usb.connected,
      watchdog: !!chip?.watchdogRuns,
    };
  },
  power_cycle() {
    commands.power_off();
    boot(null);
    wake();
    return { boots };
  },
  power_off() {
    dropClient();
    cut = null;
    heard = [];
    chip = null;
    return {};
  },
  power_on() {
    if (chip === null) boot(null);
    wake();
    return { boots };
  },
  /** The power goes in the middle of the flash write `at` from now on (1: the next one). */
  cut({ at, seed = 0 }) {
    cut = { at, seed };
    if (chip !== null) chip.rom.cut = cut;
    return {};
  },
  wire({ parts }) {
    wired = parts;
    if (chip !== null) for (const part of wired) commands[part.do](part);
    return {};
  },
  hold() {
    held = true;
    return { micros: chip?.micros };
  },
  free() {
    held = false;
    wake();
    return { said: taken() };
  },
  /** micros: how long; hex: octets to the serial port; stop: return once it has sent an octet of that value. */
  advance({ id, micros, hex = '', stop = null }) {
    if (!held || chip === null) return { why: 'off', micros: null, said: taken() };
    if (hex) chip.usb.write(Buffer.from(hex, 'hex'));
    grant = { id, until: chip.micros + micros, stop };
    wake();
    return null; // granted() answers
  },
  /** Octets into the flash, as a programmer would put them there. */
  flash({ at, hex }) {
    flash.set(Buffer.from(hex, 'hex'), at);
    return {};
  },
  /** Its memory, as it is. */
  ram() {
    return { hex: Buffer.from(chip.mcu.sram).toString('hex') };
  },
  /** A level that the outside puts on a pin. */
  drive({ pin, level }) {
    chip.mcu.gpio[pin].setInputValue(!!level);
    return {};
  },
  pin({ pin }) {
    const gpio = chip.mcu.gpio[pin];
    return { driven: gpio.outputEnable, level: (gpio.outputEnable ? gpio.outputValue : gpio.rawInputValue) ? 1 : 0 };
  },
  save() {
    save();
    return {};
  },
  ds18b20({ pin, rom, celsius }) {
    const found = chip.sensors.find((sensor) => sensor.rom.toString('hex') === rom);
    if (found) found.celsius = celsius;
    else chip.sensors.push(new DS18B20(chip, pin, rom, celsius));
    return { sensors: chip.sensors.length };
  },
  bl0942({ uart, relay, loads }) {
    chip.inputs.meter = new BL0942(chip, uart, relay, loads);
    return {};
  },
  modbus({ uart, address, registers, after_us }) {
    chip.inputs.modbus = new ModbusSlave(chip, uart, address, registers, after_us);
    return {};
  },
  pulses({ gate, pin, period_us, high_us, count }) {
    chip.inputs.pulses[pin] = new Pulses(chip, gate, pin, period_us, high_us, count);
    return {};
  },
  level({ gate, pin, level, after_us, for_us = 0 }) {
    chip.inputs.levels[pin] = new Level(chip, gate, pin, level, after_us, for_us);
    return {};
  },
  watch({ pin }) {
    chip.inputs.edges[pin] = new Edges(chip, pin);
    return {};
  },
  inputs() {
    const { meter, modbus, pulses, levels, edges } = chip.inputs;
    const each = (parts, what) => Object.fromEntries(Object.entries(parts).map(([pin, part]) => [pin, what(part)]));
    return {
      micros: chip.micros,
      meter: meter && { answers: meter.answers, frames: meter.frames, overs: meter.overs },
      heard: modbus?.heard,
      overruns: chip.mcu.uart.map((uart) => uart.overruns),
      pulses: each(pulses, (part) => part.sent),
      levels: each(levels, (part) => part.us),
      edges: each(edges, (part) => part.rows),
    };
  },
  stop() {
    save();
    setImmediate(stop);
    return {};
  },
};

const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const values = JSON.parse(line);
  const { do: name, id } = values;
  let answer;
  try {
    if (!commands[name]) throw new Error(`no command ${name}`);
    answer = commands[name](values);
  } catch (error) {
    answer = { error: `${name}: ${chip === null ? 'the board is off' : error.message}` };
  }
  if (answer !== null) say({ id, ...answer });
});
lines.on('close', () => stop());

server.listen(0, '127.0.0.1', () => {
  boot(null);
  say({ event: 'listening', port: server.address().port });
  wake();
});
