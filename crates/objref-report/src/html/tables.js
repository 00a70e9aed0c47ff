// Tables that are sorted by a click on the head of a column.

/** An element with properties and children; strings become text. */
function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  Object.assign(made, properties);
  made.append(...children);
  return made;
}

class Table {
  /**
   * Each of `columns` has a `title`, the `value` of a row to sort by, and `fill(cell, row)`; `words` for those that
   * are read from the left, `wide` for those that small screens do without. Sorted by column `by` at first.
   */
  constructor(place, label, columns, by, most) {
    Object.assign(this, { place, columns, by, most });
    this.down = true;
    this.shown = most;
    this.heads = columns.map((column, i) => {
      const button = element("button", { type: "button", textContent: column.title });
      button.addEventListener("click", () => this.#sortBy(i));
      return element("th", { scope: "col", className: column.className ?? "" }, button);
    });
    this.body = element("tbody");
    const head = element("thead", {}, element("tr", {}, ...this.heads));
    this.more = element("button", { type: "button", className: "more" });
    this.more.addEventListener("click", () => {
      this.shown += 10 * this.most;
      this.#fill();
    });
    this.none = element("p", { className: "none" });
    const table = element("table", {}, head, this.body);
    table.setAttribute("aria-label", label);
    place.append(table, this.none, this.more);
  }

  /** Shows other rows; `nothing` is said if there are none. */
  show(rows, nothing) {
    this.rows = rows;
    this.nothing = nothing;
    this.shown = this.most;
    this.#sort();
  }

  /** Sorts by another column: names from A, numbers from the biggest; again, and the other way round. */
  #sortBy(column) {
    this.down = this.by === column ? !this.down : !this.columns[column].words;
    this.by = column;
    this.#sort();
  }

  #sort() {
    const value = this.columns[this.by].value;
    const sign = this.down ? -1 : 1;
    const text = this.columns.find((column) => column.words).value;
    const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    this.rows.sort((a, b) => sign * compare(value(a), value(b)) || compare(text(a), text(b)));
    this.heads.forEach((head, i) => {
      if (i === this.by) head.setAttribute("aria-sort", this.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    this.#fill();
  }

  #fill() {
    const rows = this.rows.slice(0, this.shown).map((row) => {
      const cells = this.columns.map((column) => {
        const cell = element("td", { className: column.className ?? "" });
        column.fill(cell, row);
        return cell;
      });
      return element("tr", {}, ...cells);
    });
    this.body.replaceChildren(...rows);
    const left = this.rows.length - rows.length;
    this.more.hidden = left <= 0;
    this.more.textContent = `Show more (${thousands(left)} left)`;
    this.none.textContent = this.rows.length === 0 ? this.nothing : "";
    this.none.hidden = this.rows.length > 0;
  }
}

/** A column of a number; `exact` is said on hover. */
function numbers(title, value, shown, exact, className) {
  const fill = (cell, row) => {
    cell.textContent = shown(value(row));
    if (exact) cell.title = exact(value(row));
  };
  return { title, value, fill, className };
}

/** A column of parts of a whole, with a bar behind. */
function shares(title, value, whole, className = "") {
  const fill = (cell, row) => {
    cell.textContent = percent(value(row), whole());
    cell.style.setProperty("--share", `${whole() > 0 ? (value(row) / whole()) * 100 : 0}%`);
  };
  return { title, value, fill, className: `share ${className}` };
}

/** Bytes, to the last. */
function exactBytes(value) {
  return `${thousands(value)} bytes`;
}

/** A name to click on, in the colour of its frames, after what else is to be done with it. */
function nameButton(name, text, title, clicked, ...before) {
  const button = element("button", { type: "button", textContent: text, title });
  button.addEventListener("click", clicked);
  return element("div", {}, ...before, patch(name), button);
}

/** A patch in the colour of the frames of that name. */
function patch(name) {
  const made = element("i");
  made.style.background = `#${DATA.colours[name].toString(16).padStart(6, "0")}`;
  return made;
}
