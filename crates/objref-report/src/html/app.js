// The page: a state, which the address keeps, and what shows it.

const at = (id) => document.getElementById(id);
const TREES = DATA.trees.map((columns) => new Tree(columns));
const METRICS = { bytes: "Bytes", objects: "Objects" };

/** What is shown. */
let state = { tree: TREES[0], metric: DATA.metric, zoom: 0, search: "" };
/** What the state's search finds. */
let matches = null;

/** The state that an address asks for, as far as it makes sense. */
function fromAddress(hash) {
  let asked;
  try {
    asked = new URLSearchParams(hash.replace(/^#/, ""));
  } catch {
    asked = new URLSearchParams();
  }
  const tree = TREES.find((tree) => tree.id === asked.get("tree")) ?? TREES[0];
  const metric = Object.hasOwn(METRICS, asked.get("metric") ?? "") ? asked.get("metric") : DATA.metric;
  const zoom = Number(asked.get("zoom"));
  return { tree, metric, zoom: tree.depth[zoom] === undefined ? 0 : zoom, search: asked.get("search") ?? "" };
}

/** The address that asks for a state. */
function toAddress({ tree, metric, zoom, search }) {
  const asks = new URLSearchParams();
  if (tree !== TREES[0]) asks.set("tree", tree.id);
  if (metric !== DATA.metric) asks.set("metric", metric);
  if (zoom !== 0) asks.set("zoom", zoom);
  if (search !== "") asks.set("search", search);
  return `#${asks}`;
}

/** Changes the state; `step` makes it one that the browser's Back leads back from. */
function go(change, step = true) {
  const next = { ...state, ...change };
  if (next.tree !== state.tree && change.zoom === undefined) next.zoom = 0;
  state = next;
  const address = toAddress(state);
  if (address !== (location.hash || "#")) {
    try {
      history[step ? "pushState" : "replaceState"](null, "", address);
    } catch {
      // Where a page may not have an address of its own, it does without.
    }
  }
  render();
}

function render() {
  const { tree, metric, zoom } = state;
  find();
  graph.show(tree, metric, zoom, matches);
  for (const input of document.querySelectorAll("fieldset input")) {
    input.checked = input.value === (input.name === "tree" ? tree.id : metric);
  }
  at("reset").disabled = zoom === 0;
  at("canvas").setAttribute("aria-label", `Flame graph: ${tree.title}, width by ${metric}`);
  at("reading").replaceChildren(...tree.reading.map((text) => element("p", { textContent: text })));
  crumbs();
  tell(graph.selected ?? zoom);
  at("tip").hidden = true;
  tables();
}

/** Searches, and says how much that is. */
function find() {
  const { tree, metric, zoom } = state;
  const input = at("search");
  if (input.value !== state.search) input.value = state.search;
  matches = search(state.search);
  let found = "";
  if (matches) {
    const sum = tree.matched(zoom, matches);
    const value = sum[metric];
    const also = metric === "bytes" ? objects(sum.objects) : iec(sum.bytes);
    const where = zoom === 0 ? "" : " of what is zoomed to";
    const share = percent(value, tree.total[metric][zoom]) || "0 %";
    found = `${share}${where} matched: ${amount(metric, value)}, ${also}`;
  }
  at("found").textContent = found;
}

function crumbs() {
  const path = state.tree.path(state.zoom);
  // Of a long way the start and the end.
  const shown = path.length > 9 ? [...path.slice(0, 3), null, ...path.slice(-5)] : path;
  const made = [];
  shown.forEach((frame, i) => {
    if (i > 0) made.push(element("i", { textContent: "›" }));
    if (frame === null) return made.push(element("i", { textContent: `${path.length - 8} more` }));
    const label = state.tree.label(frame);
    const button = element("button", { type: "button", textContent: label, title: label });
    if (frame === state.zoom) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => go({ zoom: frame }));
    made.push(button);
  });
  at("crumbs").replaceChildren(...made);
}

/** What there is to say about a frame, line by line. */
function about(frame) {
  const { tree, metric } = state;
  const value = tree.total[metric][frame];
  const bytes = tree.total.bytes[frame];
  const exact = bytes < 1024 ? "" : ` (${exactBytes(bytes)})`;
  const lines = [`${iec(bytes)}${exact}, ${objects(tree.total.objects[frame])}`];
  const own = tree.own[metric][frame];
  const part = metric === "bytes" ? "of it" : "of them";
  if (own > 0 && own < value) lines.push(`${amount(metric, own)} ${part} directly`);
  if (frame !== 0) {
    const share = `${percent(value, tree.total[metric][0])} of all`;
    const parent = tree.total[metric][tree.parent[frame]];
    const above = tree.parent[frame] === 0 ? "" : `, ${percent(value, parent)} of the frame above`;
    lines.push(`${share}${above} (by ${metric})`);
  }
  return lines;
}

/** Says in the line below the picture what a frame is. */
function tell(frame) {
  at("status").replaceChildren(
    element("b", { textContent: state.tree.label(frame) }),
    ` — ${about(frame).join("; ")}`,
  );
}

function hover(frame, event) {
  const tip = at("tip");
  tip.hidden = frame === null;
  if (frame === null) return;
  const lines = about(frame).map((text, i) => element("span", { textContent: text, className: i ? "dim" : "" }));
  tip.replaceChildren(element("b", { textContent: state.tree.label(frame) }), ...lines);
  const { offsetWidth: width, offsetHeight: height } = tip;
  const left = Math.min(event.clientX + 14, innerWidth - width - 8);
  const below = event.clientY + 20;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${below + height < innerHeight ? below : Math.max(8, event.clientY - height - 12)}px`;
}

const graph = new Graph(at("graph"), at("space"), at("canvas"), DATA.roots_at_bottom, {
  hover,
  zoom: (frame) => go({ zoom: frame }),
});

const nameOfRow = (row) => (row.name < 0 ? "(smaller and deeper frames)" : DATA.strings[row.name]);
const whole = () => state.tree.total[state.metric][state.zoom];
const ofMetric = (row) => (state.metric === "bytes" ? row.bytes : row.objects);
const ownOfMetric = (row) => (state.metric === "bytes" ? row.ownBytes : row.ownObjects);
const frameTable = new Table(
  at("frames"),
  "Frames by name",
  [
    shares("Total %", ofMetric, whole),
    numbers("Total", (row) => row.bytes, iec, exactBytes),
    numbers("Objects", (row) => row.objects, thousands, null, "wide"),
    shares("Self %", ownOfMetric, whole, "wide"),
    numbers("Self", (row) => row.ownBytes, iec, exactBytes),
    numbers("Objects", (row) => row.ownObjects, thousands, null, "wide"),
    {
      title: "Frame",
      words: true,
      className: "name",
      value: nameOfRow,
      fill: (cell, row) => {
        if (row.name < 0) return cell.append(nameOfRow(row));
        const zoom = element("button", { type: "button", className: "zoom", textContent: "⊕" });
        zoom.title = "Zoom to the biggest frame of that name";
        zoom.setAttribute("aria-label", `Zoom to ${nameOfRow(row)}`);
        zoom.addEventListener("click", () => {
          go({ zoom: row.biggest });
          at("crumbs").scrollIntoView({ block: "nearest" });
        });
        const find = () => go({ search: exactly(nameOfRow(row)) });
        cell.append(nameButton(row.name, nameOfRow(row), "Search for it", find, zoom));
      },
    },
  ],
  0,
  30,
);

const TYPES = DATA.types.name.map((name, i) => ({
  name,
  text: DATA.strings[name],
  bytes: DATA.types.bytes[i],
  objects: DATA.types.objects[i],
  certainty: DATA.strings[DATA.types.certainty[i]],
}));
const typeTable = new Table(
  at("types"),
  "Types of the live objects",
  [
    shares("%", (row) => (state.metric === "bytes" ? row.bytes : row.objects), () => TREES[0].total[state.metric][0]),
    numbers("Bytes", (row) => row.bytes, iec, exactBytes),
    numbers("Objects", (row) => row.objects, thousands),
    numbers("Mean", (row) => Math.round(row.bytes / row.objects), iec, exactBytes, "wide"),
    {
      title: "Type",
      words: true,
      className: "name",
      value: (row) => row.text,
      fill: (cell, row) => {
        // As a frame's name ends in it: `next *main.node`, `[] main.node`.
        const find = () => go({ search: exactly(row.text).replace("^", "(^|[ *\\]])") });
        cell.append(nameButton(row.name, row.text, "Search frames for it", find));
      },
    },
    {
      title: "Certainty",
      words: true,
      className: "words wide",
      value: (row) => row.certainty,
      fill: (cell, row) => cell.append(row.certainty),
    },
  ],
  0,
  20,
);

function tables() {
  const { tree, zoom } = state;
  const where = zoom === 0 ? "" : ` below ${tree.label(zoom)}`;
  at("frames-title").textContent = `Frames${where}, by name`;
  const rows = tree.byName(zoom).filter((row) => !matches || matches[row.name]);
  frameTable.show(rows, "No frame here has a name that the search finds.");
  const types = TYPES.filter((row) => !matches || matches[row.name]);
  // A search for steps finds none.
  typeTable.show(types.length > 0 ? types : TYPES.slice(), "There are none.");
}

/** The parts of the page that do not change. */
function fixed() {
  document.title = DATA.title;
  at("title").textContent = DATA.title;
  for (const { name, value, detail } of DATA.facts) {
    const term = element("dt", { textContent: name });
    const shown = element("dd", { className: "value", textContent: value });
    at("facts").append(element("div", {}, term, shown, element("dd", { className: "detail", textContent: detail })));
  }
  at("notes").append(...DATA.notes.map(({ level, text }) => element("li", { className: level, textContent: text })));
  at("origin").append(...DATA.origin.map((text) => element("p", { textContent: text })));
  const warnings = DATA.notes.filter((note) => note.level === "warning").length;
  at("alert").hidden = warnings === 0;
  const link = element("a", { href: "#honesty", textContent: "what the numbers rest on" });
  link.addEventListener("click", (event) => {
    // The fragment keeps the state.
    event.preventDefault();
    at("honesty").scrollIntoView();
  });
  at("alert").append(`${warnings} ${warnings === 1 ? "warning" : "warnings"}: see `, link);
  if (DATA.types.left_out > 0) {
    const left = `${thousands(DATA.types.left_out)} smaller types are left out.`;
    at("types").append(element("p", { className: "hint", textContent: left }));
  }
  choices(at("trees"), "tree", TREES.map((tree) => [tree.id, tree.title]), (id) => {
    go({ tree: TREES.find((tree) => tree.id === id) });
  });
  at("trees").hidden = TREES.length < 2;
  choices(at("metrics"), "metric", Object.entries(METRICS), (metric) => go({ metric }));
}

function choices(place, name, options, chosen) {
  for (const [value, text] of options) {
    const input = element("input", { type: "radio", name, value });
    input.addEventListener("change", () => chosen(value));
    place.append(element("label", {}, input, element("span", { textContent: text })));
  }
}

/** What keys do in the picture. */
const KEYS = {
  ArrowLeft: (frame) => state.tree.sibling(frame, -1),
  ArrowRight: (frame) => state.tree.sibling(frame, 1),
  [DATA.roots_at_bottom ? "ArrowDown" : "ArrowUp"]: (frame) => state.tree.parent[frame],
  [DATA.roots_at_bottom ? "ArrowUp" : "ArrowDown"]: (frame) => state.tree.child(frame),
  Home: () => 0,
};

at("canvas").addEventListener("keydown", (event) => {
  const frame = graph.selected ?? state.zoom;
  if (event.key === "Enter") go({ zoom: frame });
  else if (event.key === "Backspace") go({ zoom: state.tree.parent[state.zoom] });
  else if (Object.hasOwn(KEYS, event.key)) {
    const next = graph.selected === null ? frame : (KEYS[event.key](frame) ?? frame);
    graph.select(next);
    tell(next);
  } else return;
  event.preventDefault();
});

addEventListener("keydown", (event) => {
  const inSearch = document.activeElement === at("search");
  const ctrlF = (event.ctrlKey || event.metaKey) && event.key === "f";
  // A second Ctrl-F is the browser's own.
  if ((ctrlF || event.key === "/") && !inSearch) {
    event.preventDefault();
    at("search").focus();
    at("search").select();
  } else if (event.key === "Escape") {
    graph.select(null);
    if (inSearch || state.zoom === 0) go({ search: "" });
    else go({ zoom: 0 });
  }
});

let typing;
at("search").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => go({ search: at("search").value }, false), 120);
});
at("search").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  clearTimeout(typing);
  go({ search: at("search").value });
});
at("reset").addEventListener("click", () => go({ zoom: 0 }));

// A link to somewhere else on this page, and Back.
addEventListener("popstate", () => {
  state = fromAddress(location.hash);
  render();
});
addEventListener("beforeprint", () => (at("how").open = true));

fixed();
state = fromAddress(location.hash);
render();
