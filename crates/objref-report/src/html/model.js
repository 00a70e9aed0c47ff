"use strict";
// The data of the page as the script uses it. Frames stand in the order of their drawing, a frame before those
// below it, so that what is below a frame are the frames up to `end` of it.

/** What the page was made of. All text in it comes from a dump: it is shown as text, never as HTML. */
const DATA = JSON.parse(document.getElementById("data").textContent);

/** A tree of frames in columns. */
class Tree {
  constructor(columns) {
    this.id = columns.id;
    this.title = columns.title;
    this.reading = columns.how_to_read;
    this.name = columns.name;
    this.depth = columns.depth;
    this.size = columns.depth.length;
    this.own = { bytes: columns.bytes, objects: columns.objects };
    this.cut = new Set(columns.cut);
    this.levels = new Map(columns.levels);

    this.parent = new Int32Array(this.size);
    this.end = new Int32Array(this.size);
    /** Per depth its frames, from left to right. */
    this.rows = [];
    const path = [];
    for (let frame = 0; frame < this.size; frame++) {
      const depth = this.depth[frame];
      this.parent[frame] = depth === 0 ? 0 : path[depth - 1];
      path[depth] = frame;
      (this.rows[depth] ??= []).push(frame);
      this.end[frame] = frame + 1;
    }
    this.total = { bytes: Float64Array.from(this.own.bytes), objects: Float64Array.from(this.own.objects) };
    for (let frame = this.size - 1; frame > 0; frame--) {
      const parent = this.parent[frame];
      this.end[parent] = Math.max(this.end[parent], this.end[frame]);
      this.total.bytes[parent] += this.total.bytes[frame];
      this.total.objects[parent] += this.total.objects[frame];
    }
    this.start = { bytes: this.#starts("bytes"), objects: this.#starts("objects") };
  }

  /** Where each frame starts; what a frame has of its own is to the right of its children. */
  #starts(metric) {
    const start = new Float64Array(this.size);
    const next = new Float64Array(this.size);
    for (let frame = 1; frame < this.size; frame++) {
      const parent = this.parent[frame];
      start[frame] = next[parent];
      next[parent] += this.total[metric][frame];
      next[frame] = start[frame];
    }
    return start;
  }

  /** The frame's name, with what was folded into it. */
  label(frame) {
    const name = DATA.strings[this.name[frame]];
    const levels = this.levels.get(frame);
    return levels ? `${name} ↻ ${thousands(levels)} levels deep` : name;
  }

  /** The frames from the whole down to `frame`. */
  path(frame) {
    const path = [frame];
    while (frame > 0) path.unshift((frame = this.parent[frame]));
    return path;
  }

  /** The first frame below. */
  child(frame) {
    return this.end[frame] > frame + 1 ? frame + 1 : null;
  }

  /** The frame beside it, below the same one. */
  sibling(frame, step) {
    const row = this.rows[this.depth[frame]];
    const other = row[lowerBound(row.length, (i) => row[i] >= frame) + step];
    return other !== undefined && this.parent[other] === this.parent[frame] ? other : null;
  }

  /** What is in frames that `matches` (by name) has, at or below `top`, each byte once. */
  matched(top, matches) {
    const sum = { bytes: 0, objects: 0, frames: 0 };
    for (let frame = top; frame < this.end[top]; ) {
      if (!matches[this.name[frame]]) {
        frame++;
        continue;
      }
      sum.bytes += this.total.bytes[frame];
      sum.objects += this.total.objects[frame];
      sum.frames++;
      frame = this.end[frame];
    }
    return sum;
  }

  /** The frames at or below `top`, those of one name together; those that stand for others are one row. */
  byName(top) {
    const rows = new Map();
    for (let frame = top; frame < this.end[top]; frame++) {
      const name = this.cut.has(frame) ? -1 : this.name[frame];
      let row = rows.get(name);
      if (!row) {
        row = { name, frames: 0, bytes: 0, objects: 0, ownBytes: 0, ownObjects: 0, biggest: frame, end: 0 };
        rows.set(name, row);
      }
      row.frames++;
      row.ownBytes += this.own.bytes[frame];
      row.ownObjects += this.own.objects[frame];
      if (this.total.bytes[frame] > this.total.bytes[row.biggest]) row.biggest = frame;
      // Inside of a frame of the same name it is counted already.
      if (frame >= row.end) {
        row.bytes += this.total.bytes[frame];
        row.objects += this.total.objects[frame];
        row.end = this.end[frame];
      }
    }
    return [...rows.values()];
  }
}

/** The least number below `count` for which `holds`, which holds for all above it too; else `count`. */
function lowerBound(count, holds) {
  let low = 0;
  while (low < count) {
    const middle = (low + count) >> 1;
    if (holds(middle)) count = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Which strings a pattern finds: null for none at all. Case matters if there is a capital letter, a ^ or a $ in it.
 * What is no regular expression, as `*main.T` is none, is searched for as it is.
 */
function search(pattern) {
  if (pattern === "") return null;
  const flags = /[\p{Lu}^$]/u.test(pattern.replace(/\\[A-Z]/g, "")) ? "" : "i";
  let found;
  try {
    found = new RegExp(pattern, flags);
  } catch {
    found = new RegExp(escaped(pattern), flags);
  }
  return DATA.strings.map((text) => found.test(text));
}

function escaped(text) {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/** The regular expression that finds that text and nothing else. */
function exactly(text) {
  return `^${escaped(text)}$`;
}

/** 1234567 as 1,234,567. */
function thousands(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** Bytes as 12.3 MiB. */
function iec(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  let value = bytes / 1024;
  // 1023.95 would be shown as 1024.0.
  while (value >= 1023.95 && units.length > 1) {
    value /= 1024;
    units.shift();
  }
  return `${value.toFixed(1)} ${units[0]}`;
}

/** A part of a whole: 93.2 %, < 0.1 %. */
function percent(part, whole) {
  if (whole === 0) return "";
  if (part === 0) return "0 %";
  if (part === whole) return "100 %";
  const share = (part / whole) * 100;
  if (share < 0.05) return "< 0.1 %";
  return share >= 99.95 ? "> 99.9 %" : `${share.toFixed(1)} %`;
}

/** 1 object, 2 objects. */
function objects(number) {
  return `${thousands(number)} ${number === 1 ? "object" : "objects"}`;
}

/** A value as its metric is shown. */
function amount(metric, value) {
  return metric === "bytes" ? iec(value) : objects(value);
}
