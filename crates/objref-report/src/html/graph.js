// The picture: a canvas that shows a range of the tree, as high as the part of it in view.

const ROW = 19;
const TEXT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";
/** Narrower frames have no room for text. */
const NARROW = 24;
const GLIDE = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 160;
const DARK = matchMedia("(prefers-color-scheme: dark)");

class Graph {
  /** `on` has what to do: hover(frame, event), select(frame), zoom(frame). */
  constructor(frame, space, canvas, rootsAtBottom, on) {
    Object.assign(this, { frame, space, canvas, rootsAtBottom, on });
    this.pen = canvas.getContext("2d", { alpha: false });
    this.widths = new Map();
    this.range = null;
    this.selected = null;
    this.hovered = null;
    this.printing = false;
    new ResizeObserver(() => requestAnimationFrame(() => this.#resize())).observe(frame);
    frame.addEventListener("scroll", () => this.#draw());
    DARK.addEventListener("change", () => this.#draw());
    canvas.addEventListener("mousemove", (event) => this.#hover(event));
    canvas.addEventListener("mouseleave", () => this.#hover(null));
    canvas.addEventListener("click", (event) => {
      const frame = this.#at(event);
      if (frame !== null) on.zoom(frame);
    });
    addEventListener("beforeprint", () => this.#print(true));
    addEventListener("afterprint", () => this.#print(false));
  }

  /** Shows what is below `zoom`; `matches` has which names are searched for, null for no search. */
  show(tree, metric, zoom, matches) {
    const elsewhere = this.tree !== tree || this.zoom !== zoom;
    const glide = elsewhere && this.tree === tree && this.metric === metric;
    if (elsewhere) this.hovered = this.selected = null;
    Object.assign(this, { tree, metric, zoom, matches });
    const start = tree.start[metric][zoom];
    const to = [start, start + tree.total[metric][zoom]];
    this.#layOut(to);
    if (elsewhere) {
      // Some of the frames above stay in view.
      const above = Math.max(0, (tree.depth[zoom] - 2) * ROW);
      this.frame.scrollTop = this.rootsAtBottom ? this.height - this.frame.clientHeight - above : above;
    }
    this.#glide(glide, to);
  }

  /** Marks a frame as the one that keys act on, and brings it into view. */
  select(frame) {
    this.selected = frame;
    if (frame !== null) {
      const y = this.#y(this.tree.depth[frame]);
      const { scrollTop, clientHeight } = this.frame;
      if (y < scrollTop) this.frame.scrollTop = y;
      if (y + ROW > scrollTop + clientHeight) this.frame.scrollTop = y + ROW - clientHeight;
    }
    this.#draw();
  }

  /** Where a frame is on the page, for tests and for what points at it. */
  place(frame) {
    const box = this.canvas.getBoundingClientRect();
    const [left, right] = this.#span(frame);
    const y = box.top + this.#y(this.tree.depth[frame]) - this.#scrolled();
    return { left: box.left + left, right: box.left + right, top: y, bottom: y + ROW };
  }

  #glide(moving, to) {
    const from = this.range;
    cancelAnimationFrame(this.pending);
    if (!moving || !from || GLIDE === 0) {
      this.range = to;
      this.#draw();
      return;
    }
    const begun = performance.now();
    const step = (now) => {
      const done = Math.min(1, Math.max(0, (now - begun) / GLIDE));
      const eased = 1 - (1 - done) ** 3;
      this.range = done === 1 ? to : [0, 1].map((i) => from[i] + (to[i] - from[i]) * eased);
      this.#draw();
      if (done < 1) this.pending = requestAnimationFrame(step);
    };
    this.pending = requestAnimationFrame(step);
  }

  /** As many rows as have a frame that can be seen. */
  #layOut([from, to]) {
    const { tree, metric, zoom } = this;
    const least = ((to - from) / (this.frame.clientWidth || 1)) * 0.5;
    let depth = tree.depth[zoom];
    for (let frame = zoom; frame < tree.end[zoom]; frame++) {
      if (tree.depth[frame] > depth && tree.total[metric][frame] >= least) depth = tree.depth[frame];
    }
    this.height = Math.max(depth + 1, 4) * ROW;
    this.space.style.height = `${this.height}px`;
    this.#fit();
  }

  #fit() {
    this.width = this.frame.clientWidth;
    this.tall = this.printing ? this.height : Math.min(this.height, this.frame.clientHeight || this.height);
    const scale = devicePixelRatio || 1;
    const [width, height] = [this.width, this.tall].map((length) => Math.max(1, Math.round(length * scale)));
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.canvas.style.width = `${this.width}px`;
      this.canvas.style.height = `${this.tall}px`;
    }
  }

  #resize() {
    if (!this.range) return;
    this.#layOut(this.range);
    this.#draw();
  }

  #print(printing) {
    this.printing = printing;
    this.#resize();
  }

  #scrolled() {
    return this.printing ? 0 : this.frame.scrollTop;
  }

  #y(depth) {
    return this.rootsAtBottom ? this.height - (depth + 1) * ROW : depth * ROW;
  }

  #x(value) {
    const [from, to] = this.range;
    return to > from ? ((value - from) / (to - from)) * this.width : 0;
  }

  /** From where to where a frame is drawn. */
  #span(frame) {
    const start = this.tree.start[this.metric][frame];
    const end = start + this.tree.total[this.metric][frame];
    return [Math.max(0, this.#x(start)), Math.min(this.width, this.#x(end))];
  }

  #draw() {
    if (!this.range || this.width === 0) return;
    const { pen, tree } = this;
    const scale = devicePixelRatio || 1;
    const scrolled = this.#scrolled();
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.fillStyle = this.#dark() ? "#1d2024" : "#ffffff";
    pen.fillRect(0, 0, this.width, this.tall);
    pen.translate(0, -scrolled);
    pen.font = TEXT;
    pen.textBaseline = "middle";
    for (let depth = 0; depth < tree.rows.length; depth++) {
      const y = this.#y(depth);
      if (y + ROW > scrolled && y < scrolled + this.tall) this.#drawRow(tree.rows[depth], y);
    }
    for (const [frame, colour] of [[this.hovered, "#0008"], [this.selected, "#1f5fbf"]]) {
      if (frame !== null) this.#outline(frame, this.#dark() && colour === "#0008" ? "#fffb" : colour);
    }
  }

  #drawRow(row, y) {
    const start = this.tree.start[this.metric];
    const total = this.tree.total[this.metric];
    const [from, to] = this.range;
    let i = lowerBound(row.length, (i) => start[row[i]] + total[row[i]] > from);
    for (; i < row.length && start[row[i]] < to; i++) {
      const frame = row[i];
      const [left, right] = this.#span(frame);
      const width = right - left;
      if (width < 0.05) continue;
      const above = this.tree.depth[frame] < this.tree.depth[this.zoom];
      const found = this.matches?.[this.tree.name[frame]] ?? null;
      this.pen.globalAlpha = above ? 0.55 : 1;
      this.pen.fillStyle = this.#colour(frame, found);
      this.pen.fillRect(left, y, width > 3 ? width - 1 : width, ROW - 1);
      if (width >= NARROW) {
        this.pen.globalAlpha = 1;
        this.pen.fillStyle = found ? "#ffffff" : this.#ink(found, above);
        this.pen.fillText(this.#fitted(this.tree.label(frame), width - 8), left + 4, y + ROW / 2);
      }
    }
    this.pen.globalAlpha = 1;
  }

  #dark() {
    return DARK.matches && !this.printing;
  }

  #colour(frame, found) {
    if (found) return "#a21caf";
    const packed = DATA.colours[this.tree.name[frame]];
    let channels = [packed >> 16, (packed >> 8) & 255, packed & 255];
    const [paper, strength] = this.#dark() ? [29, found === false ? 0.3 : 0.82] : [255, found === false ? 0.4 : 1];
    channels = channels.map((value) => Math.round(paper + (value - paper) * strength));
    return `rgb(${channels.join(" ")})`;
  }

  #ink(found, above) {
    if (!this.#dark()) return found === false ? "#4b4d50" : "#16181a";
    return found === false || above ? "#d4d6d9" : "#101214";
  }

  /** The start of a text that has room. */
  #fitted(text, room) {
    if (this.#widthOf(text) <= room) return text;
    const length = lowerBound(text.length, (n) => this.#widthOf(`${text.slice(0, n + 1)}…`) > room);
    return length < 2 ? "" : `${text.slice(0, length)}…`;
  }

  #widthOf(text) {
    let width = this.widths.get(text);
    if (width === undefined) {
      width = this.pen.measureText(text).width;
      if (this.widths.size > 50000) this.widths.clear();
      this.widths.set(text, width);
    }
    return width;
  }

  #outline(frame, colour) {
    const [left, right] = this.#span(frame);
    if (right <= left) return;
    this.pen.strokeStyle = colour;
    this.pen.lineWidth = 2;
    this.pen.strokeRect(left + 1, this.#y(this.tree.depth[frame]) + 1, Math.max(1, right - left - 3), ROW - 3);
  }

  /** The frame at the mouse. */
  #at(event) {
    const box = this.canvas.getBoundingClientRect();
    const y = event.clientY - box.top + this.#scrolled();
    const depth = Math.floor((this.rootsAtBottom ? this.height - y : y) / ROW);
    const row = this.tree.rows[depth];
    if (!row) return null;
    const [from, to] = this.range;
    const value = from + ((event.clientX - box.left) / this.width) * (to - from);
    const start = this.tree.start[this.metric];
    const total = this.tree.total[this.metric];
    const frame = row[lowerBound(row.length, (i) => start[row[i]] + total[row[i]] > value)];
    return frame !== undefined && start[frame] <= value ? frame : null;
  }

  #hover(event) {
    const frame = event && this.#at(event);
    if (frame !== this.hovered) {
      this.hovered = frame;
      this.#draw();
    }
    this.on.hover(frame, event);
  }
}
