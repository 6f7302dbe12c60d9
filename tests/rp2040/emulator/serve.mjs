// Runs one emulated RP2040 and gives it to the outside: its USB serial port as a TCP port on 127.0.0.1 (for
// `mpremote connect socket://…`), and a control channel of JSON lines on stdin and stdout. Ends when stdin closes, so
// it never outlives who started it.
//
//   node serve.mjs RP2040JS_MODULE FIRMWARE.BIN FLASH_FILE
//
// Commands: {"do": "status" | "power_cycle" | "save" | "stop" | …, "id": n}; each is answered by one line with
// that id. ds18b20 takes {"pin", "rom": 16 hexadecimal digits, "celsius"}: a sensor hangs at that pin from then on, until
// the next reset; for one that is there already: its temperature. Likewise the parts of inputs.mjs: bl0942 {"uart",
// "relay", "loads"}, modbus {"uart", "address", "registers", "after_us"}, pulses {"gate", "pin", "period_us", "high_us",
// "count"}, level {"gate", "pin", "level", "after_us", "for_us"}, watch {"pin"}: what became of them says "inputs".

import fs from 'node:fs';
import net from 'node:net';
import readline from 'node:readline';
import { pathToFileURL } from 'node:url';
import { Chip, FLASH_SIZE } from './chip.mjs';
import { DS18B20 } from './ds18b20.mjs';
import { BL0942, Edges, Level, ModbusSlave, Pulses } from './inputs.mjs';

const [modulePath, firmwareFile, flashFile] = process.argv.slice(2);
const js = await import(pathToFileURL(modulePath));
const say = (message) => process.stdout.write(JSON.stringify(message) + '\n');

const flash = new Uint8Array(FLASH_SIZE).fill(0xff);
if (fs.existsSync(flashFile)) flash.set(fs.readFileSync(flashFile).subarray(0, FLASH_SIZE));
const firmware = fs.readFileSync(firmwareFile);
flash.fill(0xff, 0, Math.ceil(firmware.length / 4096) * 4096);
flash.set(firmware);

let chip = null;
let client = null;
let boots = 0;
let scheduled = null;
let wasConnected = false;
let stopped = false;

function boot(carried) {
  boots++;
  wasConnected = false;
  chip = new Chip(js, flash, carried, {
    output(bytes) {
      client?.write(bytes);
    },
  });
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
  if (stopped) return;
  // A running watchdog against a host that is slower than the skipped time would bite for nothing: then idle time is
  // real time. Else sleeping costs no host time.
  const result = chip.run(!chip.watchdogRuns);
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
    boot(carried);
    wake();
  } else if (result === 'failed') {
    say({ event: 'failed', text: chip.failure, pc: chip.core.PC >>> 0 });
    stop(1);
  } else if (result !== 'idle') {
    const sleeper = chip;
    const nanos = Math.min(result.idleNanos, 20e6);
    setTimeout(() => {
      if (sleeper === chip && !stopped) {
        if (chip.core.waiting) chip.sleep(nanos);
        wake();
      }
    }, nanos / 1e6);
  }
}

const server = net.createServer((socket) => {
  dropClient();
  client = socket;
  socket.setNoDelay(true);
  socket.on('data', (bytes) => {
    chip.usb.write(bytes);
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
      cycles: chip.cycles,
      micros: chip.micros,
      clk_sys: chip.mcu.clkSys,
      flash_writes: chip.flashWrites,
      connected: chip.usb.connected,
    };
  },
  power_cycle() {
    dropClient();
    boot(null);
    wake();
    return { boots };
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
  const { do: name, id, ...values } = JSON.parse(line);
  say(commands[name] ? { id, ...commands[name](values) } : { id, error: `no command ${name}` });
});
lines.on('close', () => stop());

server.listen(0, '127.0.0.1', () => {
  boot(null);
  say({ event: 'listening', port: server.address().port });
  wake();
});
