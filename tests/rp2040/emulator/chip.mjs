// One power-on of an emulated RP2040: rp2040js with our boot ROM and with those of its gaps mended that MicroPython
// meets (README.md has the list). A reset makes a new Chip and hands the flash on.

import { Buffer } from 'node:buffer';
import { makeBootrom } from './bootrom.mjs';

const FLASH_START = 0x10000000;
const RAM_START = 0x20000000;
const FLASH_SIZE = 2 * 1024 * 1024; // a Pico's W25Q16
const SLICE_INSTRUCTIONS = 30_000; // some milliseconds of host time: how long bytes from the host may wait
const FORCE = 2; // watchdog reason: a forced reset, which keeps the scratch registers

export class Chip {
  /**
   * @param js the rp2040js module
   * @param flash Uint8Array of FLASH_SIZE, used in place
   * @param carried what a reset keeps: {reason, scratch: Uint32Array(8)} or null after power-on
   * @param on {output(Buffer)}
   * @param flashOptions {eraseMs, cut}: bootrom.mjs
   * @param seed of the ring oscillator's random bits
   */
  constructor(js, flash, carried, on, flashOptions, seed = 1) {
    this.js = js;
    this.flashWrites = 0;
    this.off = false; // the power went in mid-write
    this.stopped = false; // one of off, resetWith, failure, said is set
    this.said = false; // what `advance` waits for has been sent
    this.cycles = 0; // since power-on; the core's own count has the divider's 8 cycles twice, as the code waits for them
    this.extra = 0; // what the function of the boot ROM that runs now needs
    this.resetWith = null;
    this.failure = null;
    this.sensors = []; // at its pins
    this.inputs = { pulses: {}, levels: {}, edges: {} }; // and UARTs
    const { rp2040: mcu, clock } = new js.Simulator(); // for its parts: the loop is our own
    this.clock = clock;
    this.mcu = mcu;
    this.core = mcu.core;
    this.registers = mcu.core.registers;
    mcu.logger = new js.ConsoleLogger(js.LogLevel.Error, true);

    const rom = makeBootrom(flashOptions);
    this.rom = rom;
    mcu.loadBootrom(rom.image); // this resets, and a reset erases the flash: so the flash comes after
    mcu.flash = flash;
    mcu.flash16 = new Uint16Array(flash.buffer, flash.byteOffset, flash.length / 2);
    mcu.flashView = new DataView(flash.buffer, flash.byteOffset, flash.length);
    this.flash = flash;
    mcu.onBreak = (n) => rom.serve(this, n);

    this.watchdog = mcu.peripherals[0x40058];
    if (carried) {
      this.watchdog.reason = carried.reason;
      this.watchdog.scratchData.set(carried.scratch);
    }
    this.watchdog.onWatchdogTrigger = () => {
      this.watchdog.alarm.enable = false; // else it goes off again at the same moment, for ever
      this.stopped = true;
      this.resetWith = { reason: this.watchdog.reason || FORCE, scratch: this.watchdog.scratchData.slice() };
    };
    mendOverflow(mcu.core);
    mendPins(mcu);
    mendUarts(mcu);
    mendSecondCore(mcu);
    mendRandom(mcu, seed);
    mendUniqueId(mcu, Buffer.from(flashOptions.id ?? '', 'hex'));
    this.usb = new SerialOverUsb(js, mcu, on.output);

    // As after a reset: the ROM would start the second stage of the boot, which is the first 256 bytes of flash.
    this.registers.fill(0);
    this.core.SP = 0x20041f00;
    this.core.PC = FLASH_START;
  }


  get micros() {
    return this.clock.nanos / 1000;
  }

  fail(text) {
    this.failure ??= text;
    this.stopped = true;
  }

  spend(cycles) {
    this.extra += Math.round(cycles);
  }

  spendSeconds(seconds) {
    this.spend(seconds * this.mcu.clkSys);
  }

  read8(address) {
    return this.mcu.readUint8(address >>> 0);
  }

  read16(address) {
    return this.mcu.readUint16(address >>> 0);
  }

  copy(to, from, n) {
    const source = this.memory(from, n);
    const target = this.memory(to, n);
    if (source && target && target !== this.flash) {
      target.set(source.subarray(from & 0xffffff, (from & 0xffffff) + n), to & 0xffffff);
    } else {
      for (let i = 0; i < n; i++) this.mcu.writeUint8((to + i) >>> 0, this.read8(from + i));
    }
  }

  set(to, value, n) {
    const target = this.memory(to, n);
    if (target && target !== this.flash) target.fill(value, to & 0xffffff, (to & 0xffffff) + n);
    else for (let i = 0; i < n; i++) this.mcu.writeUint8((to + i) >>> 0, value);
  }

  /** The array that holds [address, address + n), indexed with address & 0xffffff; undefined for registers. */
  memory(address, n) {
    const offset = address & 0xffffff;
    if (address >>> 24 === RAM_START >>> 24 && offset + n <= this.mcu.sram.length) return this.mcu.sram;
    if (address >>> 24 === FLASH_START >>> 24 && offset + n <= this.flash.length) return this.flash;
    return undefined;
  }

  /**
   * Runs for some host milliseconds. Returns 'run' (call again), 'idle' (nothing happens before bytes come from the
   * host), 'reset' (this chip is over, `resetWith` tells the next one why), 'off' (the power went) or 'failed'. At a WFE
   * or WFI the clock jumps to the next alarm; with the watchdog running it returns {idleNanos} instead, since a host that
   * is slower than the skipped time would be bitten for nothing. With `untilNanos` there is no such host, and it returns
   * 'time' when the clock is there, or 'said' where `said` has been set.
   */
  run(untilNanos = Infinity) {
    const { core, clock, mcu } = this;
    for (let i = 0; i < SLICE_INSTRUCTIONS; i++) {
      if (clock.nanosCounter >= untilNanos) return 'time';
      if (core.waiting) {
        if (!clock.nextAlarm && untilNanos === Infinity) return 'idle';
        const wait = clock.nextAlarm ? clock.nanosToNextAlarm : Infinity;
        if (wait > 1e6 && untilNanos === Infinity && this.watchdogRuns) return { idleNanos: wait };
        this.sleep(Math.min(wait, untilNanos - clock.nanos));
      } else {
        const cycles = core.executeInstruction() + this.extra;
        this.extra = 0;
        this.cycles += cycles;
        const now = clock.nanosCounter + (cycles * 1e9) / mcu.clkSys;
        const next = clock.nextAlarm; // looked at here: a call for each instruction is a fifth of the time
        if (next !== null && next.nanos <= now) clock.tick(now - clock.nanosCounter);
        else clock.nanosCounter = now;
      }
      if (this.stopped) {
        if (this.off) return 'off';
        if (this.resetWith) return 'reset';
        if (this.failure) return 'failed';
        this.stopped = false;
        if (this.said) {
          this.said = false;
          return 'said';
        }
      }
    }
    return 'run';
  }

  /** Lets emulated time pass while the core sleeps. */
  sleep(nanos) {
    this.cycles += (nanos * this.mcu.clkSys) / 1e9;
    this.clock.tick(nanos);
  }

  get watchdogRuns() {
    return this.watchdog.timer.enable;
  }
}

/**
 * V after ADCS and SBCS: rp2040js adds the carry to the operand first, so that 0x7fffffff looks like a negative number.
 * Only then is the instruction looked at again.
 */
function mendOverflow(core) {
  const ADCS = 0b0100000101;
  const SBCS = 0b0100000110;
  const carried = (operation, at) => {
    const opcode = core.readUint16(core.PC - 2);
    return opcode >> 6 === operation && core.registers[(opcode >> at) & 7] === 0x7fffffff;
  };
  const add = core.addUpdateFlags;
  core.addUpdateFlags = (a, b) => {
    const result = add.call(core, a, b);
    if (b === 0x80000000 && carried(ADCS, 0)) core.V = (a | 0) >= 0;
    return result;
  };
  const subtract = core.substractUpdateFlags;
  core.substractUpdateFlags = (a, b) => {
    const result = subtract.call(core, a, b);
    if (b === 0x80000000 && carried(SBCS, 3)) core.V = (a | 0) < 0;
    return result;
  };
}

/** A driven output reads back what it drives, as on the chip (its pad's input is on), unless a test drives the pad. */
function mendPins(mcu) {
  for (const pin of mcu.gpio) {
    pin.addListener(() => {
      if (pin.outputEnable) pin.setInputValue(pin.outputValue);
    });
  }
}

/**
 * The ring oscillator is not there, and its random bit reads as 1 for ever: tokens would be alike. Here it is drawn from
 * the seed (xorshift32), so that a run can be had again; each start has another one.
 */
function mendRandom(mcu, seed) {
  const RANDOMBIT = 0x1c;
  const ring = mcu.peripherals[0x40060];
  const read = ring.readUint32.bind(ring);
  let state = (seed * 0x9e3779b1) >>> 0 || 1;
  ring.readUint32 = (offset) => {
    if (offset !== RANDOMBIT) return read(offset);
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 16) & 1;
  };
}

/** The unique id of the flash (W25Q: command 0x4b, four octets of nothing, then eight of the id) reads as a constant. */
function mendUniqueId(mcu, id) {
  const DR0 = 0x60;
  const READ_ID = 0x4b;
  const flash = mcu.peripherals[0x18000];
  const answers = [];
  const write = flash.writeUint32.bind(flash);
  flash.writeUint32 = (offset, value) => {
    if (offset === DR0 && value === READ_ID && answers.length === 0) answers.push(0, 0, 0, 0, 0, ...id);
    else write(offset, value);
  };
  const read = flash.readUint32.bind(flash);
  flash.readUint32 = (offset) => (offset === DR0 && answers.length ? answers.shift() : read(offset));
}

/**
 * There is no second core. A soft reboot of MicroPython resets it and waits for its boot ROM's greeting, a zero in the
 * mailbox (data sheet 2.8.2): that is always there. Starting a thread on it hangs.
 */
function mendSecondCore(mcu) {
  const FIFO_ST = 0x50;
  const FIFO_WR = 0x54;
  const FIFO_RD = 0x58;
  const read = mcu.sio.readUint32.bind(mcu.sio);
  mcu.sio.readUint32 = (offset) => (offset === FIFO_ST ? 3 : offset === FIFO_RD ? 0 : read(offset));
  const write = mcu.sio.writeUint32.bind(mcu.sio);
  mcu.sio.writeUint32 = (offset, value) => {
    if (offset !== FIFO_ST && offset !== FIFO_WR) write(offset, value);
  };
}

/**
 * PL011 (Arm DDI 0183) as MicroPython needs it. The TX interrupt is an edge (the FIFO fell to its level), not a state
 * that comes back as soon as it is cleared; a byte takes its time on the line. The RX interrupt comes at the level that
 * IFLS says, the one of the receive timeout when the FIFO is not empty and the line was silent for 32 bits.
 * `uart.receive(octet)` is the line's other end.
 */
function mendUarts(mcu) {
  const [RX_INTERRUPT, TX_INTERRUPT, TIMEOUT_INTERRUPT] = [1 << 4, 1 << 5, 1 << 6];
  const TX_FULL = 1 << 5;
  const TX_EMPTY = 1 << 7;
  const BUSY = 1 << 3;
  const DEPTH = 32;
  const DR = 0;
  const IFLS = 0x34;
  const LEVELS = [4, 8, 16, 24, 28];
  for (const uart of mcu.uart) {
    const queue = [];
    let levels = 0b010010;
    uart.overruns = 0;
    const plainFlags = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(uart), 'flags').get;
    Object.defineProperty(uart, 'flags', {
      get() {
        const flags = plainFlags.call(uart) & ~TX_EMPTY;
        return flags | (queue.length ? BUSY : TX_EMPTY) | (queue.length >= DEPTH ? TX_FULL : 0);
      },
    });
    uart.checkInterrupts = () => {
      mcu.setInterrupt(uart.irq, !!(uart.interruptStatus & uart.interruptMask));
    };
    const byteNanos = () => (uart.baudDivider ? (10 * 1e9) / uart.baudRate : 1000);
    const alarm = mcu.clock.createAlarm(() => {
      const byte = queue.shift();
      if (queue.length <= DEPTH / 8) {
        uart.interruptStatus |= TX_INTERRUPT;
        uart.checkInterrupts();
      }
      if (queue.length) alarm.schedule(byteNanos());
      uart.onByte?.(byte);
    });
    const silence = mcu.clock.createAlarm(() => {
      if (uart.rxFIFO.empty) return;
      uart.interruptStatus |= TIMEOUT_INTERRUPT;
      uart.checkInterrupts();
    });
    uart.receive = (octet) => {
      if (uart.rxFIFO.full) uart.overruns++;
      else uart.rxFIFO.push(octet);
      if (uart.rxFIFO.itemCount >= LEVELS[(levels >> 3) & 7]) uart.interruptStatus |= RX_INTERRUPT;
      silence.schedule(3.2 * byteNanos());
      uart.checkInterrupts();
    };
    const plainRead = uart.readUint32.bind(uart);
    uart.readUint32 = (offset) => {
      if (offset === IFLS) return levels;
      if (offset !== DR) return plainRead(offset);
      const value = uart.rxFIFO.pull();
      if (uart.rxFIFO.itemCount < LEVELS[(levels >> 3) & 7]) uart.interruptStatus &= ~RX_INTERRUPT;
      if (uart.rxFIFO.empty) uart.interruptStatus &= ~TIMEOUT_INTERRUPT;
      uart.checkInterrupts();
      return value;
    };
    const plainWrite = uart.writeUint32.bind(uart);
    uart.writeUint32 = (offset, value) => {
      if (offset === IFLS) {
        levels = value;
        return;
      }
      if (offset !== DR) {
        plainWrite(offset, value);
        return;
      }
      queue.push(value & 0xff);
      if (queue.length > DEPTH / 8) uart.interruptStatus &= ~TX_INTERRUPT;
      if (queue.length === 1) alarm.schedule(byteNanos());
      uart.checkInterrupts();
    };
  }
}

/** The host's end of the USB serial port. Bytes to the chip wait here until it asks: then it is not polled awake. */
class SerialOverUsb {
  constructor(js, mcu, output) {
    this.usb = mcu.usbCtrl;
    this.cdc = new js.USBCDC(this.usb);
    this.cdc.onSerialData = (bytes) => output(Buffer.from(bytes));
    this.waiting = []; // Buffers
    this.asked = 0; // bytes that the chip's OUT endpoint has room for, 0: it does not read
    this.usb.onEndpointRead = (endpoint, size) => {
      if (endpoint !== this.cdc.outEndpoint) return;
      this.asked = size;
      this.pump();
    };
  }

  get connected() {
    return this.cdc.initialized;
  }

  write(bytes) {
    this.waiting.push(bytes);
    this.pump();
  }

  clear() {
    this.waiting.length = 0;
  }

  pump() {
    if (!this.asked || !this.waiting.length) return;
    const [head] = this.waiting;
    const size = Math.min(this.asked, head.length);
    if (size === head.length) this.waiting.shift();
    else this.waiting[0] = head.subarray(size);
    this.asked = 0;
    this.usb.endpointReadDone(this.cdc.outEndpoint, new Uint8Array(head.subarray(0, size)));
  }
}

export { FLASH_SIZE };
